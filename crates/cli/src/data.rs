//! `gradus data`: downloading data sets and looking at directories of pictures, tables and texts.

use crate::args::{DataArgs, DataCommand, GetArgs, StatsArgs};
use crate::commands::{print, print_json};
use crate::table::{table, thousands};
use gradus_data::text::{TextStats, read_text};
use gradus_data::{
    ColumnStats, DOWNLOADS, Download, FolderStats, Table, TableStats, contact_sheet, describe_texts, folder_stats,
    write_shapes,
};
use gradus_train::{Result, TrainError, compact, did_you_mean};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn data(args: &DataArgs) -> Result<ExitCode> {
    match &args.command {
        DataCommand::Get(args) => get(args),
        DataCommand::Stats(args) => stats(args),
    }
}

/// What is made here instead of being downloaded.
const MADE: &str = "shapes";

fn get(args: &GetArgs) -> Result<ExitCode> {
    if args.name == MADE {
        let dir = args.dir.clone().unwrap_or_else(|| Path::new("data").join(MADE));
        write_shapes(&dir)?;
        print(&format!("{MADE} is in {0}; train with: gradus train masks --data {0}\n", dir.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let Some(set) = DOWNLOADS.iter().find(|d| d.name == args.name) else {
        let names: Vec<&str> = DOWNLOADS.iter().map(|d| d.name).chain([MADE]).collect();
        let hint = did_you_mean(&args.name, names.iter().copied());
        let message =
            format!("nothing called `{}` can be downloaded{hint}. There are: {}", args.name, names.join(", "));
        return Err(TrainError::Recipe(message));
    };
    let dir = args.dir.clone().unwrap_or_else(|| Path::new("data").join(set.name));
    fs::create_dir_all(&dir).map_err(|e| failed(&dir, e))?;
    let address = args.from.as_deref().unwrap_or(set.address);
    for file in set.files {
        let path = fetch(file, address, &dir)?;
        if file.file.ends_with(".tar.gz") {
            unpack(&path, &dir)?;
        }
    }
    print(&format!("{} is in {}; train with --data {}\n", set.name, dir.display(), dir.display()));
    Ok(ExitCode::SUCCESS)
}

fn failed(path: &Path, e: impl std::fmt::Display) -> TrainError {
    TrainError::Input(format!("`{}`: {e}", path.display()))
}

/// The file in `dir`, downloaded unless it is there whole. What was read before a connection broke is kept in
/// `NAME.part` and continued.
fn fetch(file: &Download, address: &str, dir: &Path) -> Result<PathBuf> {
    let (path, part) = (dir.join(file.file), dir.join(format!("{}.part", file.file)));
    if path.exists() {
        return match sha256(&path)? == file.sha256 {
            true => {
                eprintln!("{}: already there", path.display());
                Ok(path)
            }
            false => Err(failed(&path, "another file of this name is there; move it away and try again")),
        };
    }
    let url = format!("{}/{}", address.trim_end_matches('/'), file.file);
    download(&url, file.bytes, &part)?;
    let found = sha256(&part)?;
    if found != file.sha256 {
        fs::remove_file(&part).map_err(|e| failed(&part, e))?;
        let expected = file.sha256;
        return Err(TrainError::Input(format!("{url}: its SHA-256 is {found}, expected {expected}; it was removed")));
    }
    fs::rename(&part, &path).map_err(|e| failed(&path, e))?;
    eprintln!("{}: {} bytes, SHA-256 as expected", path.display(), thousands(file.bytes as usize));
    Ok(path)
}

/// Brings `part` to `bytes` bytes of what lies at `url`, going on after what it holds.
fn download(url: &str, bytes: u64, part: &Path) -> Result<()> {
    let wrong = |reason: String| TrainError::Input(format!("{url}: {reason}"));
    let mut have = fs::metadata(part).map_or(0, |m| m.len());
    if have == bytes {
        return Ok(());
    }
    if have > bytes {
        fs::remove_file(part).map_err(|e| failed(part, e))?;
        have = 0;
    }
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .http_status_as_error(false)
        .build();
    let mut request = ureq::Agent::new_with_config(config).get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|e| wrong(e.to_string()))?;
    let mut out = OpenOptions::new();
    let mut out = match response.status().as_u16() {
        206 => out.append(true),
        200 => {
            have = 0;
            out.write(true).create(true).truncate(true)
        }
        status => return Err(wrong(format!("the server answered {status}, expected 200"))),
    }
    .open(part)
    .map_err(|e| failed(part, e))?;
    let bar = progress(url, bytes, have);
    let mut reader = response.body_mut().as_reader().take(bytes - have + 1);
    let mut buffer = vec![0; 1 << 16];
    let end = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break None,
            Ok(n) => {
                out.write_all(&buffer[..n]).map_err(|e| failed(part, e))?;
                have += n as u64;
                bar.set_position(have);
            }
            Err(e) => break Some(e.to_string()),
        }
    };
    bar.finish_and_clear();
    match (have == bytes, end) {
        (true, _) => Ok(()),
        (false, _) if have > bytes => {
            fs::remove_file(part).map_err(|e| failed(part, e))?;
            Err(wrong(format!("it is longer than the {bytes} bytes expected; it was removed")))
        }
        (false, reason) => {
            let reason = reason.map_or(String::new(), |r| format!(" ({r})"));
            Err(wrong(format!("broke off after {have} of {bytes} bytes{reason}; the same command goes on from there")))
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(url: &str, bytes: u64, have: u64) -> ProgressBar {
    let style = "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    let bar = ProgressBar::new(bytes).with_style(ProgressStyle::with_template(style).expect("the template is valid"));
    bar.set_message(url.rsplit('/').next().unwrap_or(url).to_string());
    bar.set_position(have);
    bar.reset_eta();
    bar
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| failed(path, e))?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(|e| failed(path, e))? {
            0 => return Ok(sum.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => sum.update(&buffer[..n]),
        }
    }
}

/// Unpacks an archive aside, then moves what it held into `dir`; what is there already stays.
fn unpack(archive: &Path, dir: &Path) -> Result<()> {
    let file = File::open(archive).map_err(|e| failed(archive, e))?;
    let aside = tempfile::tempdir_in(dir).map_err(|e| failed(dir, e))?;
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(aside.path()).map_err(|e| failed(archive, e))?;
    for entry in fs::read_dir(aside.path()).map_err(|e| failed(dir, e))? {
        let entry = entry.map_err(|e| failed(dir, e))?;
        let to = dir.join(entry.file_name());
        if !to.exists() {
            fs::rename(entry.path(), &to).map_err(|e| failed(&to, e))?;
        }
    }
    Ok(())
}

fn stats(args: &StatsArgs) -> Result<ExitCode> {
    if args.dir.is_file() {
        return file_stats(args);
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let stats = folder_stats(&args.dir, workers)?;
    if let Some(path) = &args.sheet {
        contact_sheet(&args.dir, 10, 64)?.save_png(path)?;
        eprintln!("contact sheet in {}", path.display());
    }
    if args.json {
        let mut value = serde_json::to_value(&stats).expect("statistics are plain values");
        value["dir"] = json!(args.dir);
        value["sheet"] = args.sheet.as_ref().map_or(Value::Null, |p| json!(p));
        print_json(&value);
    } else {
        print(&shown(&stats));
    }
    Ok(ExitCode::SUCCESS)
}

/// `gradus data stats` of a table, or of a text whose lines are its texts.
fn file_stats(args: &StatsArgs) -> Result<ExitCode> {
    if args.sheet.is_some() {
        return Err(TrainError::Input(format!("`{}` has no pictures for --sheet", args.dir.display())));
    }
    let table =
        ["csv", "tsv", "parquet"].iter().any(|e| args.dir.extension().is_some_and(|x| x.eq_ignore_ascii_case(e)));
    let (mut value, text) = match table {
        true => {
            let stats = TableStats::of(&Table::open(&args.dir)?)?;
            (serde_json::to_value(&stats), shown_table(&stats))
        }
        false => {
            let text = read_text(&args.dir)?;
            let stats = describe_texts(&text.lines().collect::<Vec<_>>());
            (serde_json::to_value(&stats), shown_texts("lines", &stats))
        }
    };
    if let (true, Ok(value)) = (args.json, &mut value) {
        value["file"] = json!(args.dir);
        print_json(value);
    } else {
        print(&text);
    }
    Ok(ExitCode::SUCCESS)
}

fn shown_texts(what: &str, s: &TextStats) -> String {
    format!(
        "{} {what}: {} equal to an earlier one, {} empty; {} tokens, {} different; {} to {} a text (median {}); \
         {:.2} % of the tokens are beyond the 5,000 most frequent\n",
        thousands(s.texts),
        thousands(s.duplicates),
        thousands(s.empty),
        thousands(s.tokens),
        thousands(s.distinct),
        s.lengths[0],
        s.lengths[2],
        s.lengths[1],
        100.0 * s.unknown
    )
}

fn shown_table(s: &TableStats) -> String {
    let cut = |value: &str| match value.char_indices().nth(20) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.to_string(),
    };
    let row = |c: &ColumnStats| {
        let numbers =
            c.numbers.map_or([const { String::new() }; 5], |n| [n.mean, n.std, n.min, n.median, n.max].map(compact));
        // The values of numbers are told by their range.
        let common = if c.numbers.is_some() { &[][..] } else { &c.common[..] };
        let common = common.iter().take(3).map(|(value, n)| format!("{} ({})", cut(value), thousands(*n)));
        let head = [c.name.clone(), thousands(c.empty), thousands(c.distinct)];
        head.into_iter().chain(numbers).chain([common.collect::<Vec<_>>().join(", ")]).collect()
    };
    let rows: Vec<Vec<String>> = s.columns.iter().map(row).collect();
    let header = ["column", "empty", "different", "mean", "deviation", "least", "median", "most", "most frequent"];
    let mut out = table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7]);
    out += &format!("\n{} rows, {} of them equal to an earlier one\n", thousands(s.rows), thousands(s.duplicates));
    for c in &s.columns {
        out += &c.texts.as_ref().map_or_else(String::new, |t| format!("{}: {}", c.name, shown_texts("texts", t)));
    }
    out
}

fn shown(s: &FolderStats) -> String {
    let mut out = String::new();
    if !s.classes.is_empty() {
        let rows: Vec<Vec<String>> = s
            .classes
            .iter()
            .map(|(name, n)| {
                let share = 100.0 * *n as f64 / s.pictures.max(1) as f64;
                vec![name.clone(), thousands(*n), format!("{share:.1} %")]
            })
            .collect();
        out += &(table(&["class", "pictures", "share"], &rows, &[1, 2]) + "\n");
    }
    let three = |v: [f64; 3]| v.map(|x| format!("{x:.4}")).join(", ");
    out += &format!(
        "{} pictures, {} of them grey; height {} to {} (median {}), width {} to {} (median {})\n\
         mean of red, green, blue {}; deviation {}\n",
        thousands(s.pictures),
        thousands(s.grey),
        s.height.min,
        s.height.max,
        s.height.median,
        s.width.min,
        s.width.max,
        s.width.median,
        three(s.mean),
        three(s.std)
    );
    if let Some(ratio) = s.imbalance {
        out += &format!("the largest class has {ratio:.2} times as many pictures as the smallest\n");
    }
    let (groups, contradictions) = (s.duplicates.len(), s.contradictions);
    out += &format!("{groups} groups of equal pictures, {contradictions} of them across classes\n");
    for group in s.duplicates.iter().take(5) {
        let names: Vec<String> = group.iter().map(|p| p.display().to_string()).collect();
        out += &format!("  {}\n", names.join(" = "));
    }
    out += &format!("{} broken files\n", s.broken.len());
    s.broken.iter().for_each(|(_, why)| out += &format!("  {why}\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    /// Serves `content` to each request, but breaks off after `cuts` bytes of the first ones; returns the address
    /// and the ranges that were asked for.
    fn serve(content: Vec<u8>, cuts: Vec<usize>) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/files/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            let mut cuts = cuts.into_iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(|l| l.ok());
                let head: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
                let range = head.iter().find_map(|l| l.to_ascii_lowercase().strip_prefix("range: ").map(String::from));
                log.lock().unwrap().push(range.clone().unwrap_or_default());
                let from: usize = range.map_or(0, |r| r["bytes=".len()..r.len() - 1].parse().unwrap());
                let (status, body) = match head[0].contains("/files/toy.bin") {
                    false => ("404 Not Found", &[][..]),
                    true if from > 0 => ("206 Partial Content", &content[from..]),
                    true => ("200 OK", &content[..]),
                };
                let cut = cuts.next().unwrap_or(body.len()).min(body.len());
                let _ =
                    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(&body[..cut]);
            }
        });
        (address, asked)
    }

    fn content() -> Vec<u8> {
        (0..200_000u32).map(|i| (i.wrapping_mul(i) / 7) as u8).collect()
    }

    fn sum(bytes: &[u8]) -> &'static str {
        let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        hex.leak()
    }

    #[test]
    fn a_download_that_broke_off_goes_on_where_it_stopped() {
        let content = content();
        let dir = tempfile::tempdir().unwrap();
        let file = Download { file: "toy.bin", bytes: content.len() as u64, sha256: sum(&content) };
        let (address, asked) = serve(content.clone(), vec![70_000, 50_000]);
        for so_far in [70_000, 120_000] {
            let e = fetch(&file, &address, dir.path()).unwrap_err().to_string();
            assert!(e.contains(&format!("toy.bin: broke off after {so_far} of 200000 bytes")), "{e}");
            assert!(!dir.path().join("toy.bin").exists());
        }
        let path = fetch(&file, &address, dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
        fetch(&file, &address, dir.path()).unwrap();
        assert_eq!(*asked.lock().unwrap(), ["", "bytes=70000-", "bytes=120000-"], "what is there is not asked for");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_content_is_refused() {
        let content = content();
        let dir = tempfile::tempdir().unwrap();
        let (address, _) = serve(content.clone(), vec![]);
        let other = Download { file: "toy.bin", bytes: content.len() as u64, sha256: sum(b"other") };
        let e = fetch(&other, &address, dir.path()).unwrap_err().to_string();
        assert!(e.contains("its SHA-256 is") && fs::read_dir(dir.path()).unwrap().count() == 0, "{e}");
        let short = Download { file: "toy.bin", bytes: 1000, sha256: sum(&content) };
        let e = fetch(&short, &address, dir.path()).unwrap_err().to_string();
        assert!(e.contains("longer than the 1000 bytes expected"), "{e}");
        let absent = Download { file: "absent.bin", bytes: 9, sha256: "" };
        let e = fetch(&absent, &address, dir.path()).unwrap_err().to_string();
        assert!(e.contains("the server answered 404"), "{e}");
        fs::write(dir.path().join("toy.bin"), "mine").unwrap();
        let e = fetch(&other, &address, dir.path()).unwrap_err().to_string();
        assert!(e.contains("another file of this name"), "{e}");
    }

    #[test]
    fn archives_are_unpacked_aside_first() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("toy.tar.gz");
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            File::create(&archive).unwrap(),
            flate2::Compression::fast(),
        ));
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, "toy/a.bin", &b"hello"[..]).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        unpack(&archive, dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("toy/a.bin")).unwrap(), b"hello");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let good = fs::read(&archive).unwrap();
        fs::write(&archive, &good[..good.len() / 2]).unwrap();
        assert!(unpack(&archive, dir.path()).unwrap_err().to_string().contains("toy.tar.gz"));
    }
}
