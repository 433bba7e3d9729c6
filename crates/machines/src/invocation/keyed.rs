//! What an invocation does with the state and the promises of its object.

use bytes::Bytes;

use super::rows::{Came, Kind, Outcome, Promise, Value};
use super::said::{Op, pending};
use super::{Work, completion, object, rows};
use crate::key::Key;
use crate::view::Stop;

impl Work<'_, '_> {
    pub(super) fn know_keys(&mut self, keys: &[Bytes]) -> Result<(), Stop> {
        match self.object()? {
            Some(object) => object::know_keys(self.view, &object, &self.id, keys),
            None => Ok(()),
        }
    }

    pub(super) fn on_state(&mut self, op: &Op) -> Result<(), Stop> {
        let Some(object) = self.object()? else {
            return Ok(());
        };
        if matches!(op, Op::ClearAllState) {
            return object::clear_state(self.view, self.at, &object);
        }
        let mut found = object::load(self.view, &object)?;
        let generation = found.state_generation;
        let place = |key: &Bytes| rows::state(&object, generation, key);
        let is_news = match op {
            Op::SetState { key, .. } => found.key_set(key),
            Op::ClearState { key } => found.key_cleared(key),
            _ => false,
        };
        if is_news {
            self.view.store(Key::head(&object), &found);
        }
        match op {
            Op::GetState { key, id } => {
                let value: Option<Value> = self.view.load(&place(key))?;
                let came = value.map_or(Came::Void(true), |value| Came::Value(value.value));
                self.notify(completion(Kind::State, *id, came));
            }
            Op::SetState { key, value } => {
                let value = Value { value: value.clone() };
                self.view.store(place(key), &value);
            }
            Op::ClearState { key } => self.view.delete(place(key)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn on_promise(&mut self, op: &Op) -> Result<(), Stop> {
        let Some(object) = self.object()? else {
            return Ok(());
        };
        let (Op::GetPromise { name, id }
        | Op::PeekPromise { name, id }
        | Op::CompletePromise { name, id, .. }) = op
        else {
            return Ok(());
        };
        let generation = object::load(self.view, &object)?.promise_generation;
        let key = rows::promise(&object, generation, name);
        let mut promise: Promise = self.view.load(&key)?.unwrap_or_default();
        match op {
            Op::CompletePromise { .. } if promise.outcome.is_some() => {
                let failure = Outcome::failure(409, "promise was already completed");
                self.notify(completion(Kind::PromiseComplete, *id, Some(failure)));
            }
            Op::CompletePromise { outcome, .. } => {
                for waiting in std::mem::take(&mut promise.waiting) {
                    super::start::tell(self.view, &waiting, Some(outcome.clone()));
                }
                promise.outcome = Some(outcome.clone());
                self.view.store(key, &promise);
                self.notify(completion(Kind::PromiseComplete, *id, None));
            }
            Op::PeekPromise { .. } => self.notify(completion(Kind::PromisePeek, *id, promise.outcome)),
            _ if promise.outcome.is_some() => self.notify(completion(Kind::Promise, *id, promise.outcome)),
            _ => {
                promise.waiting.push(self.reply_to(*id));
                self.view.store(key, &promise);
                self.expect(*id, &pending(Kind::Promise));
            }
        }
        Ok(())
    }
}
