//! Parcels between partitions: letters one way, receipts the other.

use machines::message::Letter;
use machines::{Address, Command};

use crate::Host;
use crate::inbox::{Queued, Sender};

/// Brings parcels from one partition to another. It may lose, double, delay and reorder them: what is lost is sent again, and
/// what comes twice or too early is not taken. Must not wait.
pub trait Carrier: Send + Sync {
    fn carry(&self, host: &Host, parcel: Parcel);
}

/// Within one process.
#[derive(Clone, Copy, Debug)]
pub struct Direct;

impl Carrier for Direct {
    fn carry(&self, host: &Host, parcel: Parcel) {
        host.deliver(parcel);
    }
}

#[derive(Clone, Debug)]
pub struct Parcel {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Numbered from 1 for each pair of partitions, without a gap.
    Letter { number: u64, letter: Letter },
    /// All letters up to this number were received, and what came of them is durable.
    Receipt { number: u64 },
}

impl Host {
    /// A parcel arrives.
    pub fn deliver(&self, parcel: Parcel) {
        let Some(gate) = self.0.gates.get(usize::from(parcel.to)) else {
            tracing::error!(
                partition = parcel.to,
                "a parcel for a partition that does not exist"
            );
            return;
        };
        match parcel.content {
            Content::Receipt { number } => gate.inbox.receipt(parcel.from, number),
            Content::Letter { number, letter } => {
                let queued = Queued {
                    address: Address::of(letter.to),
                    command: Command::Message(letter.message.unwrap_or_default()),
                    sender: Sender::Partition {
                        from: parcel.from,
                        number,
                    },
                };
                // To a partition that has stopped it is sent again, when there is one.
                drop(gate.inbox.put(queued));
            }
        }
    }
}
