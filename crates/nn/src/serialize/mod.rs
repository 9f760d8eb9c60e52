//! State dicts and the files they live in: safetensors both ways, PyTorch's `.pth` and `.pt` to read.

mod pickle;
mod pth;
mod safetensors;
mod state_dict;
#[cfg(test)]
mod tests;

pub use pth::load_pth;
pub use safetensors::{load_safetensors, save_safetensors};
pub use state_dict::StateDict;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file of parameters was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not what it must be.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The content is well formed but has no counterpart here.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found, and what is possible.
        what: String,
    },
    /// A pickle names a Python object that is not needed to describe tensors.
    #[error(
        "{}: refuses to load the Python object `{global}`: reading it could run code. Save only the tensors, \
         with torch.save(model.state_dict(), ...)", path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// The object's module and name.
        global: String,
    },
}

impl StateError {
    fn file(path: &Path, source: io::Error) -> StateError {
        StateError::File { path: path.to_owned(), source }
    }

    fn malformed(path: &Path, what: impl Into<String>) -> StateError {
        StateError::Malformed { path: path.to_owned(), what: what.into() }
    }

    fn unsupported(path: &Path, what: impl Into<String>) -> StateError {
        StateError::Unsupported { path: path.to_owned(), what: what.into() }
    }
}

/// Reads a state dict from safetensors, `.pth` or `.pt`, told apart by the file's first bytes.
///
/// # Errors
/// As [`load_safetensors`] and [`load_pth`], or if the file is neither.
pub fn load_state_file(path: impl AsRef<Path>) -> Result<StateDict, StateError> {
    let path = path.as_ref();
    let mut start = Vec::new();
    File::open(path).and_then(|f| f.take(9).read_to_end(&mut start)).map_err(|e| StateError::file(path, e))?;
    match start[..] {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => load_pth(path),
        [_, _, _, _, _, _, _, _, b'{'] => load_safetensors(path).map(|(state, _)| state),
        _ => {
            let found: Vec<String> = start.iter().map(|b| format!("{b:02x}")).collect();
            let what =
                format!("is neither safetensors nor a PyTorch .pth or .pt file: it starts with [{}]", found.join(" "));
            Err(StateError::malformed(path, what))
        }
    }
}
