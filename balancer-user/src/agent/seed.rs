//! The seed of Maglev: the configuration's, or one that is made once and kept.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use crate::{config::Config, control::store};

/// Its name in the state directory.
const NAME: &str = "hash_seed";

/// The seed of Maglev.
pub(super) fn of(config: &Config) -> Result<[u8; 16]> {
    match config.limits.hash_seed {
        Some(seed) => Ok(seed),
        None => kept(&config.agent.state_dir.join(NAME)),
    }
}

/// The seed that is kept in a file; made if there is none.
fn kept(path: &Path) -> Result<[u8; 16]> {
    let named = || format!("hash seed {}", path.display());
    if let Some(text) = store::read(path).with_context(named)? {
        return parse(text.trim()).ok_or_else(|| {
            anyhow!("{}: not 32 hex digits; restore it, or delete it to have a new one made", named())
        });
    }
    let seed: [u8; 16] = rand::random();
    let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    store::replace(path, format!("{hex}\n").as_bytes()).with_context(named)?;
    tracing::info!("made a {}", named());
    Ok(seed)
}

fn parse(hex: &str) -> Option<[u8; 16]> {
    let digits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = digits.then(|| u128::from_str_radix(hex, 16).ok()).flatten()?;
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let made = kept(&path).unwrap();
        assert_eq!(kept(&path).unwrap(), made);
        std::fs::write(&path, "000102030405060708090a0b0c0d0e0f\n").unwrap();
        assert_eq!(kept(&path).unwrap()[..3], [0, 1, 2]);
    }

    #[test]
    fn a_damaged_seed_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        std::fs::write(&path, "+00102030405060708090a0b0c0d0e0f").unwrap();
        let error = kept(&path).unwrap_err().to_string();
        assert!(error.contains("not 32 hex digits"), "{error}");
    }
}
