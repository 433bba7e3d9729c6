//! An object's state is changed by people: all of it at once, when it is the turn of that.

use base::{Error, codes, limits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::object;
use super::rows::{self, Edit, Object, Value};
use crate::engine::PartScan;
use crate::key::Address;
use crate::row::Stored;
use crate::step::At;
use crate::view::{Stop, View};

/// Whether it can be taken.
pub(super) fn check(edit: &Edit) -> Result<(), Stop> {
    let bytes = edit.state.iter().map(|pair| pair.key.len() + pair.value.len());
    let (keys, bytes) = (edit.state.len(), bytes.sum::<usize>());
    if keys > limits::RESTATE_EDIT_KEYS_MAX || bytes > limits::RESTATE_EDIT_BYTES_MAX {
        let message = format!(
            "{keys} keys and {bytes} bytes are too much state to be edited at once: {} and {} are the most",
            limits::RESTATE_EDIT_KEYS_MAX,
            limits::RESTATE_EDIT_BYTES_MAX
        );
        return Err(Error::new(codes::INVALID_ARGUMENT, message).into());
    }
    Ok(())
}

/// Nothing changes if the state is not what it has to be before.
pub(super) fn apply(
    view: &mut View<'_>,
    at: At,
    address: &Address,
    object: &mut Object,
    edit: &Edit,
) -> Result<(), Stop> {
    if !edit.version.is_empty() && version(view, object)? != Some(edit.version.trim_end_matches('=').into()) {
        return Ok(());
    }
    object::begin_state(view, at, address, object);
    for pair in &edit.state {
        let key = rows::state(address, object.state_generation, &pair.key);
        let value = Value {
            value: pair.value.clone(),
        };
        view.store(key, &value);
        object.key_set(&pair.key);
    }
    Ok(())
}

/// `None`: there is more of it than can be compared.
fn version(view: &View<'_>, object: &Object) -> Result<Option<String>, Stop> {
    let prefix = rows::state_suffix(object.state_generation, &[]);
    let skip = prefix.len();
    let page = view.range(&PartScan {
        part: rows::STATE,
        prefix,
        after: None,
        limit: limits::RESTATE_EDIT_KEYS_MAX,
        descending: false,
    })?;
    if page.more {
        return Ok(None);
    }
    let mut state = vec![];
    for (suffix, row) in page.rows {
        state.push((suffix.slice(skip..), Value::from_row(&row)?.value));
    }
    Ok(Some(state_version(&state)))
}

/// What names an object's state, for all who know its keys and values: Restate's tools and its web console make the same. `state`
/// is in the order of its keys.
pub fn state_version(state: &[(Bytes, Bytes)]) -> String {
    let mut hash = Sha256::new();
    for (number, (key, value)) in state.iter().enumerate() {
        hash.update((number as u64).to_be_bytes());
        hash.update([1]);
        hash.update(key);
        hash.update([2]);
        hash.update(value);
        hash.update([3]);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}
