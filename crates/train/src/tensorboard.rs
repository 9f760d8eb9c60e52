//! TensorBoard's event files: the documented record format with scalars alone.
//!
//! A file is a sequence of records: length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data, all
//! little-endian. The data is an `Event` message of protocol buffers with the fields `wall_time` (1, double), `step`
//! (2, int64), `file_version` (3, string) and `summary` (5), whose values (1) have a `tag` (1, string) and a
//! `simple_value` (2, float).
//!
//! Source: <https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto> and
//! <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>.

/// Values at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The step, or the epoch.
    pub step: i64,
    /// Seconds since 1970.
    pub wall_time: f64,
    /// Names and values.
    pub scalars: Vec<(String, f64)>,
}

/// The bytes of a file of scalars.
pub fn event_file(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let began = events.first().map_or(0.0, |e| e.wall_time);
    let mut version = double(1, began);
    version.extend(bytes(3, b"brain.Event:2"));
    record(&mut out, &version);
    for Event { step, wall_time, scalars } in events {
        let mut event = double(1, *wall_time);
        event.extend(varint(2 << 3));
        event.extend(varint(*step as u64));
        let values = scalars.iter().flat_map(|(tag, value)| {
            let mut inner = bytes(1, tag.as_bytes());
            inner.extend(varint(2 << 3 | 5));
            inner.extend((*value as f32).to_le_bytes());
            bytes(1, &inner)
        });
        event.extend(bytes(5, &values.collect::<Vec<u8>>()));
        record(&mut out, &event);
    }
    out
}

/// Appends one record.
fn record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

/// The checksum as the format stores it: rotated and shifted.
fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: the files are small.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// A field of a double.
fn double(field: u64, value: f64) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

/// A field of bytes, of text or of a message.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// Seven bits a byte, the lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_the_value_of_its_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // the check value of CRC-32C
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
    }

    #[test]
    fn a_file_is_read_back_record_by_record() {
        let scalars = vec![("loss/train".into(), 0.25), ("lr".into(), 0.1)];
        let file = event_file(&[Event { step: 300, wall_time: 1.5, scalars }]);
        let mut rest = &file[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(u32::from_le_bytes(rest[8..12].try_into().unwrap()), masked(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(u32::from_le_bytes(rest[12 + length..16 + length].try_into().unwrap()), masked(data));
            records.push(data.to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 2);
        assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        // wall_time 1.5, step 300, a summary of two values.
        let mut want = vec![9];
        want.extend(1.5f64.to_le_bytes());
        want.extend([0x10, 0xac, 0x02, 0x2a, 30]);
        want.extend([0x0a, 17, 0x0a, 10]);
        want.extend(b"loss/train");
        want.push(0x15);
        want.extend(0.25f32.to_le_bytes());
        want.extend([0x0a, 9, 0x0a, 2]);
        want.extend(b"lr");
        want.push(0x15);
        want.extend(0.1f32.to_le_bytes());
        assert_eq!(records[1], want);
    }
}
