//! The beginning of a journal, for an invocation that begins with it.

use std::collections::BTreeSet;

use machines::invocation::rows::{Entry, Line, Name};
use prost::Message;

use crate::appended;

/// What all commands of versions 5 and up that take completions have in common.
#[derive(Clone, PartialEq, prost::Message)]
struct Completed {
    #[prost(uint32, optional, tag = "10")]
    callee: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    result: Option<u32>,
}

/// All lines after the input, up to and with `last`, and those after it that complete what is among them.
///
/// The error is what people are told.
pub(crate) fn of(journal: &[Entry], last: u32) -> Result<Vec<Line>, String> {
    let last = usize::try_from(last).unwrap_or(usize::MAX);
    if last >= journal.len() {
        return Err(format!(
            "the journal has {} entries: there is none of index {last}",
            journal.len()
        ));
    }
    let mut open = BTreeSet::new();
    let mut lines = vec![];
    for entry in &journal[1..=last] {
        let Some(line) = &entry.line else { continue };
        match line {
            Line::Command(said) if appended::command_name(said.kind).is_some() => {
                let completed = Completed::decode(said.body.clone())
                    .map_err(|error| format!("a command of the journal cannot be read: {error}"))?;
                open.extend(completed.callee.into_iter().chain(completed.result));
            }
            Line::Notification(notification) => {
                if let Some(Name::Completion(id)) = notification.name {
                    open.remove(&id);
                }
            }
            Line::Command(_) | Line::Input(_) => {}
        }
        lines.push(line.clone());
    }
    for entry in &journal[last + 1..] {
        if let Some(line @ Line::Notification(notification)) = &entry.line
            && let Some(Name::Completion(id)) = notification.name
            && open.remove(&id)
        {
            lines.push(line.clone());
        }
    }
    match open.first() {
        None => Ok(lines),
        Some(id) => Err(format!(
            "completion {id} of what is to be copied has never come: restart from an earlier entry"
        )),
    }
}
