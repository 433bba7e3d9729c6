//! `belay lock` and `belay unlock`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::Instant;
use tonic::Response;
use wire::layotto::lock_keep_alive_response::Status as Extended;
use wire::layotto::unlock_response::Status as Released;
use wire::layotto::{LockKeepAliveRequest, TryLockRequest, TryLockResponse, UnlockRequest};

use super::connection::Connection;
use super::console::Form;
use super::failure::Call;
use super::{Common, Console, Exit, Failure};

mod command;
mod lease;

use lease::{Lost, Renewal};

/// Says which grant it is: it grows with every grant of that lock.
const TOKEN_HEADER: &str = "belay-fencing-token";

/// Pause between attempts to take a lock that is held: the call itself never waits.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(in crate::cli) struct Lock {
    /// What is locked.
    name: String,
    /// Tells this holder from every other one. Default: a new name.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    owner: Option<String>,
    /// Seconds until the lock frees itself, unless it is renewed; with a command it is, at a third of them.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..))]
    ttl: i32,
    /// Seconds to wait for a lock that is held by another.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u32,
    #[command(flatten)]
    store: Store,
    /// Runs while the lock is held: -- COMMAND ARGUMENTS
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Unlock {
    /// What is locked.
    name: String,
    /// Who holds it, as `belay lock` has printed it.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    owner: String,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
struct Store {
    /// Name of the lock component.
    #[arg(long, value_name = "NAME", default_value = "lock_demo")]
    store: String,
}

impl Store {
    fn call(&self, name: &'static str) -> Call<'_> {
        Call {
            name,
            component: &self.store,
            flag: "--store",
        }
    }
}

/// A lock that was granted.
#[derive(Debug)]
struct Grant {
    /// Not every store has tokens.
    token: Option<String>,
    /// The lease is no older than this.
    asked: Instant,
}

/// The holder of one lock, as calls name it.
struct Holder<'a> {
    connection: Connection,
    store: &'a Store,
    name: &'a str,
    owner: String,
    ttl: i32,
}

impl Lock {
    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let holder = Holder {
            connection: self.common.connect().await?,
            store: &self.store,
            name: &self.name,
            owner: self
                .owner
                .clone()
                .unwrap_or_else(|| format!("cli-{}", uuid::Uuid::new_v4().simple())),
            ttl: self.ttl,
        };
        match (self.take(&holder).await?, self.command.split_first()) {
            (None, _) => self.held(console),
            (Some(grant), None) => self.granted(&holder, &grant, console),
            (Some(grant), Some((program, arguments))) => {
                let command = command::Command { program, arguments };
                command.run(&holder, &grant, console).await
            }
        }
    }

    /// Asks until it is granted, or the time to wait is over.
    async fn take(&self, holder: &Holder<'_>) -> Result<Option<Grant>, Failure> {
        let until = Instant::now() + Duration::from_secs(self.wait.into());
        loop {
            if let Some(grant) = holder.try_lock().await? {
                return Ok(Some(grant));
            }
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            tokio::time::sleep(ATTEMPT_PAUSE.min(until - now)).await;
        }
    }

    fn held(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        if self.common.json {
            let json = json!({"store": self.store.store, "name": self.name, "locked": false});
            console.say(Form::Json, "", &json)?;
            return Ok(Exit::Failed);
        }
        let waited = match self.wait {
            0 => String::new(),
            seconds => format!(", waited {seconds} s"),
        };
        Err(Failure::no(format_args!(
            "{} is held by another{waited}",
            self.name
        )))
    }

    fn granted(
        &self,
        holder: &Holder<'_>,
        grant: &Grant,
        console: &mut Console<'_>,
    ) -> Result<Exit, Failure> {
        let (name, owner, ttl) = (&self.name, &holder.owner, self.ttl);
        let token = grant.token.as_deref();
        let shown = token.unwrap_or("none, the store has no tokens");
        let text = format!(
            "locked {name}\n  token  {shown}\n  owner  {owner}\n  lease  {ttl} s\n  next   belay unlock {name} --owner {owner}"
        );
        let token = token.map(|token| token.parse::<u64>().map_or(json!(token), |number| json!(number)));
        let json = json!({
            "store": self.store.store, "name": name, "locked": true,
            "token": token, "owner": owner, "ttl_seconds": ttl,
        });
        console.say(self.common.form(), text, &json)?;
        Ok(Exit::Ok)
    }
}

impl Holder<'_> {
    async fn try_lock(&self) -> Result<Option<Grant>, Failure> {
        let asked = Instant::now();
        let request = TryLockRequest {
            store_name: self.store.store.clone(),
            resource_id: self.name.to_owned(),
            lock_owner: self.owner.clone(),
            expire: self.ttl,
        };
        let mut client = self.connection.runtime();
        let answer = self
            .connection
            .answer(self.store.call("TryLock"), client.try_lock(request));
        let answer = answer.await?;
        Ok(answer.get_ref().success.then(|| Grant {
            token: token(&answer),
            asked,
        }))
    }

    async fn renew(&self) -> Result<Renewal, Failure> {
        let request = LockKeepAliveRequest {
            store_name: self.store.store.clone(),
            resource_id: self.name.to_owned(),
            lock_owner: self.owner.clone(),
            expire: self.ttl,
        };
        let mut client = self.connection.runtime();
        let call = self.store.call("LockKeepAlive");
        let answer = self.connection.answer(call, client.lock_keep_alive(request));
        Ok(match answer.await?.get_ref().status() {
            Extended::Success => Renewal::Renewed,
            Extended::LockUnexist => Renewal::Lost(Lost::Ended),
            Extended::LockBelongToOthers => Renewal::Lost(Lost::Taken),
            Extended::InternalError => Renewal::Failed("the lock store failed".into()),
        })
    }

    async fn unlock(&self) -> Result<Released, Failure> {
        let mut client = self.connection.runtime();
        let request = UnlockRequest {
            store_name: self.store.store.clone(),
            resource_id: self.name.to_owned(),
            lock_owner: self.owner.clone(),
        };
        let answer = self
            .connection
            .answer(self.store.call("Unlock"), client.unlock(request));
        Ok(answer.await?.get_ref().status())
    }
}

fn token(answer: &Response<TryLockResponse>) -> Option<String> {
    let token = answer.metadata().get(TOKEN_HEADER)?;
    token.to_str().ok().map(str::to_owned)
}

impl Unlock {
    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let holder = Holder {
            connection: self.common.connect().await?,
            store: &self.store,
            name: &self.name,
            owner: self.owner.clone(),
            ttl: 0,
        };
        let name = &self.name;
        let reason = match holder.unlock().await? {
            Released::Success => None,
            Released::LockUnexist => Some(("not_locked", format!("{name} is not locked"))),
            Released::LockBelongToOthers => Some(("held_by_another", format!("{name} is held by another"))),
            Released::InternalError => Some((
                "failed",
                format!("{name} cannot be unlocked: the lock store failed"),
            )),
        };
        let mut json = json!({"store": self.store.store, "name": name, "unlocked": reason.is_none()});
        match reason {
            None => console.say(self.common.form(), format_args!("unlocked {name}"), &json)?,
            Some((_, line)) if !self.common.json => return Err(Failure::no(line)),
            Some((reason, _)) => {
                json["reason"] = reason.into();
                console.say(Form::Json, "", &json)?;
                return Ok(Exit::Failed);
            }
        }
        Ok(Exit::Ok)
    }
}
