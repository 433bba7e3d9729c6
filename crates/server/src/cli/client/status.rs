//! `belay status`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::admin::{self, ANSWER_TIMEOUT};
use super::connection::Connection;
use super::failure::{Call, root};
use super::place::Target;
use super::{Common, Console, Exit, Failure};

#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// Where its admin listener is: host:port or unix:/path. Default: what the data directory says, else 127.0.0.1:9070.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_ADMIN_ADDRESS")]
    admin: Option<Target>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// What was found out.
#[derive(Debug, Default)]
struct Found {
    version: Option<String>,
    pid: Option<u32>,
    /// Listeners by name, as far as they are known.
    addresses: BTreeMap<String, String>,
    /// What gRPC health says, if the runtime API answers.
    serving: Option<bool>,
    admin: Option<Admin>,
}

/// What the admin listener says.
#[derive(Debug, PartialEq, Eq)]
struct Admin {
    version: String,
    healthy: bool,
    ready: bool,
    waiting_for: Vec<Waiting>,
}

/// A part that is not ready.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Waiting {
    name: String,
    reason: String,
}

impl Status {
    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let (found, failure) = self.look().await;
        if found.serving.is_none() && found.admin.is_none() {
            return Err(failure.unwrap_or_else(|| Failure::silent(Exit::NotRunning)));
        }
        console.say(self.common.form(), &found, &found.json())?;
        Ok(match found.is_ready() {
            true => Exit::Ok,
            false => Exit::Failed,
        })
    }

    /// Asks both listeners; beside what they say, why the first of them does not answer.
    async fn look(&self) -> (Found, Option<Failure>) {
        let mut found = Found::default();
        if let Some(endpoints) = self.common.place.endpoints() {
            (found.pid, found.version) = (Some(endpoints.pid), Some(endpoints.version));
            found.addresses = endpoints.addresses;
        }
        let mut failures = vec![];
        match self.serving(&mut found.addresses).await {
            Ok(serving) => found.serving = Some(serving),
            Err(failure) => failures.push(failure),
        }
        match self.administration(&mut found.addresses).await {
            Ok(admin) => {
                found.version = Some(admin.version.clone());
                found.admin = Some(admin);
            }
            Err(failure) => failures.push(failure),
        }
        (found, failures.into_iter().next())
    }

    async fn serving(&self, addresses: &mut BTreeMap<String, String>) -> Result<bool, Failure> {
        let place = self.common.place.layotto()?;
        addresses.insert("layotto".into(), place.target.to_string());
        let connection = Connection::open(place).await?;
        let call = Call {
            name: "Health/Check",
            component: "",
            flag: "--address",
        };
        let mut client = HealthClient::new(connection.channel());
        let answer = connection.answer(call, client.check(HealthCheckRequest::default()));
        Ok(answer.await?.get_ref().status() == ServingStatus::Serving)
    }

    async fn administration(&self, addresses: &mut BTreeMap<String, String>) -> Result<Admin, Failure> {
        let place = self.common.place.admin(self.admin.as_ref())?;
        addresses.insert("admin".into(), place.target.to_string());
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, Admin::ask(&place.target)).await;
        let asked = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        asked.map_err(|cause| Failure::not_running(&place, root(&cause)))
    }
}

impl Admin {
    async fn ask(target: &Target) -> io::Result<Admin> {
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        #[derive(Default, Deserialize)]
        struct Ready {
            #[serde(default)]
            waiting_for: Vec<Waiting>,
        }
        let (_, version) = admin::ask(target, "/version").await?;
        let version: Version = serde_json::from_slice(&version)?;
        let (healthy, _) = admin::ask(target, "/health").await?;
        let (ready, waiting) = admin::ask(target, "/ready").await?;
        Ok(Admin {
            version: version.version,
            healthy,
            ready,
            waiting_for: serde_json::from_slice::<Ready>(&waiting)
                .unwrap_or_default()
                .waiting_for,
        })
    }
}

impl Found {
    /// What one of them does not know, the other one decides.
    fn is_ready(&self) -> bool {
        self.serving.unwrap_or(true)
            && self
                .admin
                .as_ref()
                .is_none_or(|admin| admin.healthy && admin.ready)
    }

    fn json(&self) -> Value {
        let admin = self.admin.as_ref();
        let waiting = admin.map(|admin| admin.waiting_for.iter());
        let waiting: Vec<Value> = waiting
            .into_iter()
            .flatten()
            .map(|part| json!({"name": part.name, "reason": part.reason}))
            .collect();
        json!({
            "version": self.version,
            "pid": self.pid,
            "ready": self.is_ready(),
            "serving": self.serving,
            "healthy": admin.map(|admin| admin.healthy),
            "waiting_for": waiting,
            "endpoints": self.addresses,
        })
    }

    /// What is known of one listener.
    fn about(&self, listener: &str) -> &'static str {
        match listener {
            "layotto" => match self.serving {
                Some(true) => "serving",
                Some(false) => "not serving",
                None => "does not answer",
            },
            "admin" => match self.admin.as_ref().map(|admin| admin.healthy) {
                Some(true) => "healthy",
                Some(false) => "a restart is needed",
                None => "does not answer",
            },
            _ => "",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self
            .version
            .as_ref()
            .map(|version| format!(" {version}"))
            .unwrap_or_default();
        let state = match (self.is_ready(), self.serving) {
            (true, _) => "is ready",
            (false, Some(true)) => "serves, but not all of it is ready",
            (false, _) => "is not ready",
        };
        write!(f, "belay{version} {state}")?;
        if let Some(pid) = self.pid {
            write!(f, "\n  process  {pid}")?;
        }
        let width = self.addresses.values().map(String::len).max().unwrap_or(0);
        for (name, address) in &self.addresses {
            let about = self.about(name);
            let line = format!("  {name:8} {address:width$}  {about}");
            write!(f, "\n{}", line.trim_end())?;
        }
        let waiting = self.admin.iter().flat_map(|admin| &admin.waiting_for);
        for Waiting { name, reason } in waiting {
            write!(f, "\n  waiting  {name}: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found {
            version: Some("0.1.0".into()),
            pid: Some(4711),
            addresses: [
                ("layotto", "127.0.0.1:34904"),
                ("admin", "127.0.0.1:9070"),
                ("metrics", "unix:/m"),
            ]
            .map(|(name, address)| (name.to_owned(), address.to_owned()))
            .into(),
            serving: Some(true),
            admin: Some(Admin {
                version: "0.1.0".into(),
                healthy: true,
                ready: true,
                waiting_for: vec![],
            }),
        }
    }

    #[test]
    fn people_see_a_short_list() {
        let expected = "belay 0.1.0 is ready\n  process  4711\n  admin    127.0.0.1:9070   healthy\n  layotto  127.0.0.1:34904  serving\n  metrics  unix:/m";
        assert_eq!(found().to_string(), expected);
    }

    #[test]
    fn what_it_waits_for_is_named() {
        let mut found = found();
        let admin = found.admin.as_mut().expect("it answers");
        admin.ready = false;
        admin.waiting_for.push(Waiting {
            name: "application dev".into(),
            reason: "nobody listens".into(),
        });
        let text = found.to_string();
        assert!(
            text.starts_with("belay 0.1.0 serves, but not all of it is ready\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\n  waiting  application dev: nobody listens"),
            "{text}"
        );
        assert_eq!(found.json()["waiting_for"][0]["name"], "application dev");
    }

    #[test]
    fn one_listener_is_enough_to_tell() {
        let without_admin = Found {
            admin: None,
            ..found()
        };
        assert!(without_admin.is_ready());
        assert!(without_admin.to_string().contains("does not answer"));
        assert_eq!(without_admin.json()["healthy"], Value::Null);
        let drained = Found {
            serving: Some(false),
            ..found()
        };
        assert!(!drained.is_ready());
    }
}
