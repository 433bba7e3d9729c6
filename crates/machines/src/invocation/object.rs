//! An object: who works on it, who waits for it, and what is kept for it.
//!
//! | what | free | taken |
//! |---|---|---|
//! | an exclusive invocation comes | it is its | it waits at the end of the queue |
//! | its invocation is over | | the first who still waits has it, or nobody |
//! | one who waits is cancelled or killed | | its place is empty |
//! | its state is to be edited | it is | that waits like an invocation |
//! | all is cleared | another generation of state and promises begins; rows of the one before are removed bit by bit | the same |

use base::{Result, Timestamp, limits};
use bytes::Bytes;

use super::rows::{self, Edit, Keys, Object, Place};
use super::{Body, Forget, Id, edit};
use crate::engine::PartScan;
use crate::key::{Address, Key};
use crate::step::At;
use crate::view::{Stop, View};

/// Places that are looked at in one step. Those of invocations that were cancelled are empty.
const PLACES_LOOKED_AT: u64 = 256;

/// `None`: it is this one's now. Otherwise its place in the queue.
pub(super) fn take(view: &mut View<'_>, address: &Address, id: &Id) -> Result<Option<u64>, Stop> {
    let mut object = load(view, address)?;
    if object.holder.is_empty() {
        object.holder = id.bytes();
        view.store(Key::head(address), &object);
        return Ok(None);
    }
    let place = object.next;
    object.next += 1;
    view.store(
        rows::place(address, place),
        &Place {
            invocation: id.bytes(),
            edit: None,
        },
    );
    view.store(Key::head(address), &object);
    Ok(Some(place))
}

/// Its state is changed when its turn has come. `true`: at once.
pub(super) fn edit(view: &mut View<'_>, at: At, address: &Address, edit: &Edit) -> Result<bool, Stop> {
    edit::check(edit)?;
    let mut object = load(view, address)?;
    let free = object.holder.is_empty();
    if free {
        edit::apply(view, at, address, &mut object, edit)?;
    } else {
        let place = Place {
            invocation: Bytes::new(),
            edit: Some(edit.clone()),
        };
        view.store(rows::place(address, object.next), &place);
        object.next += 1;
    }
    view.store(Key::head(address), &object);
    Ok(free)
}

/// That one is done with it.
pub(super) fn release(view: &mut View<'_>, address: &Address, id: &Id) -> Result<(), Stop> {
    let object = load(view, address)?;
    if object.holder == id.0.as_slice() {
        pass_on(view, None, address, object)?;
    }
    Ok(())
}

/// That one does not wait any more.
pub(super) fn leave(view: &mut View<'_>, address: &Address, place: u64) {
    view.store(rows::place(address, place), &Place::default());
}

/// There was more in front than one step does: it goes on here.
pub(super) fn free(view: &mut View<'_>, at: At, address: &Address) -> Result<(), Stop> {
    let object = load(view, address)?;
    pass_on(view, Some(at), address, object)
}

/// `at`: of a step that does nothing else. Only such a one edits state: it sees what all others have left.
fn pass_on(view: &mut View<'_>, at: Option<At>, address: &Address, mut object: Object) -> Result<(), Stop> {
    let until = object.next.min(object.first + PLACES_LOOKED_AT);
    let keys: Vec<Key> = (object.first..until)
        .map(|number| rows::place(address, number))
        .collect();
    view.want(&keys)?;
    for key in keys {
        let place: Place = view.load(&key)?.unwrap_or_default();
        if place.edit.is_some() && at.is_none() {
            break;
        }
        view.delete(key);
        object.first += 1;
        if let Some(id) = Id::of(&place.invocation) {
            object.holder = place.invocation;
            view.store(Key::head(address), &object);
            view.send(&Address::invocation(&id), Body::Turn(true));
            return Ok(());
        }
        if let (Some(edit), Some(at)) = (place.edit, at) {
            edit::apply(view, at, address, &mut object, &edit)?;
            break;
        }
    }
    if object.first < object.next {
        // Still held by the one before, so that nobody comes in between.
        view.store(Key::head(address), &object);
        view.send(address, Body::Free(true));
        return Ok(());
    }
    object.holder = Bytes::new();
    (object.first, object.next) = (0, 0);
    // As little as is known of one that there never was.
    if object.state_keys == Some(Keys::default()) {
        object.state_keys = None;
    }
    if object == Object::default() {
        view.delete(Key::head(address));
    } else {
        view.store(Key::head(address), &object);
    }
    Ok(())
}

pub(super) fn load(view: &View<'_>, address: &Address) -> Result<Object, Stop> {
    Ok(view.load(&Key::head(address))?.unwrap_or_default())
}

/// What keys of its state there are, if that is not known yet. Said by the one who has the object: nobody else changes them.
pub(super) fn know_keys(view: &mut View<'_>, address: &Address, id: &Id, keys: &[Bytes]) -> Result<(), Stop> {
    let mut object = load(view, address)?;
    if object.holder == id.0.as_slice() && object.state_keys.is_none() {
        object.know_keys(keys);
        view.store(Key::head(address), &object);
    }
    Ok(())
}

/// No state is there any more.
pub(super) fn clear_state(view: &mut View<'_>, at: At, address: &Address) -> Result<(), Stop> {
    let mut object = load(view, address)?;
    begin_state(view, at, address, &mut object);
    view.store(Key::head(address), &object);
    Ok(())
}

/// Another generation of it, which is empty.
pub(super) fn begin_state(view: &mut View<'_>, at: At, address: &Address, object: &mut Object) {
    let cleared = (rows::STATE, object.state_generation);
    object.state_generation += 1;
    object.know_keys(&[]);
    let due = at.now.plus(limits::COLLECTION_SWEEP_PAUSE);
    sweep_later(view, address, cleared, due);
}

/// No promise is there any more.
pub(super) fn clear_promises(view: &mut View<'_>, at: At, address: &Address) -> Result<(), Stop> {
    let mut object = load(view, address)?;
    object.promise_generation += 1;
    view.store(Key::head(address), &object);
    let cleared = (rows::PROMISE, object.promise_generation - 1);
    sweep_later(
        view,
        address,
        cleared,
        at.now.plus(limits::COLLECTION_SWEEP_PAUSE),
    );
    Ok(())
}

fn sweep_later(view: &mut View<'_>, address: &Address, (part, generation): (u8, u64), due: Timestamp) {
    let forget = Forget {
        part: part.into(),
        generation,
        ..Forget::default()
    };
    let mut id = [part; 9];
    id[1..].copy_from_slice(&generation.to_be_bytes());
    view.set_timer(due, address, &id, &Body::Forget(forget).into());
}

/// Removes rows of a generation that was cleared, so many in a step.
pub(super) fn sweep(view: &mut View<'_>, at: At, address: &Address, forget: &Forget) -> Result<(), Stop> {
    let Ok(part) = u8::try_from(forget.part) else {
        return Ok(());
    };
    let scan = PartScan {
        part,
        prefix: rows::state_suffix(forget.generation, &[]),
        after: None,
        limit: limits::COLLECTION_SWEEP_ROWS,
        descending: false,
    };
    let page = view.range(&scan)?;
    if page.rows.is_empty() {
        return Ok(());
    }
    for (suffix, _) in page.rows {
        view.delete(Key::part(address, part, &suffix));
    }
    let due = at.now.plus(limits::COLLECTION_SWEEP_STEP_PAUSE);
    sweep_later(view, address, (part, forget.generation), due);
    Ok(())
}

impl Object {
    pub(super) fn know_keys(&mut self, keys: &[Bytes]) {
        let bytes = keys.iter().map(Bytes::len).sum::<usize>();
        let few = keys.len() <= limits::OBJECT_KEYS_KNOWN_MAX && bytes <= limits::OBJECT_KEYS_KNOWN_BYTES_MAX;
        self.state_keys = few.then(|| Keys { keys: keys.to_vec() });
    }

    /// Whether that is news.
    pub(super) fn key_set(&mut self, key: &Bytes) -> bool {
        let Some(Keys { mut keys }) = self.state_keys.take() else {
            return false;
        };
        let place = keys.binary_search(key);
        if let Err(place) = place {
            keys.insert(place, key.clone());
        }
        self.know_keys(&keys);
        place.is_err()
    }

    /// Whether that is news.
    pub(super) fn key_cleared(&mut self, key: &Bytes) -> bool {
        let Some(Keys { keys }) = &mut self.state_keys else {
            return false;
        };
        let place = keys.binary_search(key);
        if let Ok(place) = place {
            keys.remove(place);
        }
        place.is_ok()
    }
}
