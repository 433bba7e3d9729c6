//! `belay stores`: where distributed primitives are kept.

use std::fmt::{self, Display};

use bytes::Bytes;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::transport::Channel;
use wire::atomix::runtime::runtime_client::RuntimeClient;
use wire::atomix::runtime::{ConfigureRequest, ConnectRequest, DisconnectRequest, DriverId, StoreId};

use super::connection::Connection;
use super::failure::Call;
use super::place::Target;
use super::{Common, Console, Exit, Failure, admin};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List the stores that are connected, and whether each is open.
    List(List),
    /// Connect a store. It stays connected over restarts.
    ///
    /// Primitives go where routes say; without any, all are in the built-in store `default`.
    Connect(Connect),
    /// Give a connected store new settings.
    Configure(Configure),
    /// Forget a store. Its data stays where its driver keeps it; its primitives wait for it to come back.
    Disconnect(Disconnect),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Where its admin listener is: host:port or unix:/path. Default: what the data directory says, else 127.0.0.1:9070.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_ADMIN_ADDRESS")]
    admin: Option<Target>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Connect {
    #[command(flatten)]
    store: Store,
    /// What keeps it: embedded, memory, or another driver of `belay components` that offers kv.
    #[arg(long, value_name = "DRIVER")]
    driver: String,
    /// The driver's settings, a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object, default_value = "{}")]
    settings: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Configure {
    #[command(flatten)]
    store: Store,
    /// The driver's settings, a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object)]
    settings: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Disconnect {
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct Store {
    /// The store's name.
    name: String,
    /// The name's namespace.
    #[arg(long, default_value = "")]
    namespace: String,
}

#[derive(Debug, Args)]
struct At {
    /// Where its control API listens: host:port or unix:/path. Default: what the data directory says, else 127.0.0.1:5679.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_CONTROL_ADDRESS")]
    control: Option<Target>,
    #[command(flatten)]
    common: Common,
}

/// A store as the admin listener tells of it.
#[derive(Debug, Deserialize)]
struct Told {
    namespace: String,
    name: String,
    driver: String,
    open: bool,
}

fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err("the settings are no JSON object".into()),
        Err(cause) => Err(format!("the settings are not JSON: {cause}")),
    }
}

impl Command {
    pub(super) fn common(&self) -> &Common {
        match self {
            Command::List(list) => &list.common,
            Command::Connect(connect) => &connect.at.common,
            Command::Configure(configure) => &configure.at.common,
            Command::Disconnect(disconnect) => &disconnect.at.common,
        }
    }

    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        match self {
            Command::List(list) => list.run(console).await,
            Command::Connect(connect) => connect.run(console).await,
            Command::Configure(configure) => configure.run(console).await,
            Command::Disconnect(disconnect) => disconnect.run(console).await,
        }
    }
}

impl List {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let place = self.common.place.admin(self.admin.as_ref())?;
        let body = admin::get(&place, "/stores").await?;
        let found = serde_json::from_slice(&body).and_then(|value: Value| {
            let stores = Vec::<Told>::deserialize(&value["stores"])?;
            Ok((value, stores))
        });
        let (value, stores) = found.map_err(|cause| Failure::not_running(&place, cause))?;
        console.say_lines(self.common.form(), Table(&stores), &value)?;
        Ok(Exit::Ok)
    }
}

impl Connect {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let connection = self.at.connect().await?;
        let request = ConnectRequest {
            store_id: self.store.id(),
            driver_id: Some(DriverId {
                name: self.driver.clone(),
                api_version: String::new(),
            }),
            config: Bytes::from(self.settings.clone()),
        };
        let call = self.store.call("Connect");
        connection
            .answer(call, client(&connection).connect(request))
            .await?;
        self.store.say("connected", &self.at.common, console)
    }
}

impl Configure {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let connection = self.at.connect().await?;
        let request = ConfigureRequest {
            store_id: self.store.id(),
            config: Bytes::from(self.settings.clone()),
        };
        let call = self.store.call("Configure");
        connection
            .answer(call, client(&connection).configure(request))
            .await?;
        self.store.say("configured", &self.at.common, console)
    }
}

impl Disconnect {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let connection = self.at.connect().await?;
        let request = DisconnectRequest {
            store_id: self.store.id(),
        };
        let call = self.store.call("Disconnect");
        connection
            .answer(call, client(&connection).disconnect(request))
            .await?;
        self.store.say("disconnected", &self.at.common, console)
    }
}

fn client(connection: &Connection) -> RuntimeClient<Channel> {
    RuntimeClient::new(connection.channel())
}

impl At {
    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.common.place.control(self.control.as_ref())?).await
    }
}

impl Store {
    fn id(&self) -> Option<StoreId> {
        Some(StoreId {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        })
    }

    fn call(&self, name: &'static str) -> Call<'_> {
        Call {
            name,
            component: &self.name,
            flag: "its name",
        }
    }

    fn say(&self, done: &str, common: &Common, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let json = json!({"store": self.name, "namespace": self.namespace, "done": done});
        console.say_lines(common.form(), format_args!("{done} {}\n", self.name), &json)?;
        Ok(Exit::Ok)
    }
}

struct Table<'a>(&'a [Told]);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "no stores are connected: primitives are in the built-in one");
        }
        let full = |store: &Told| match store.namespace.is_empty() {
            true => store.name.clone(),
            false => format!("{}/{}", store.namespace, store.name),
        };
        let names: Vec<String> = self.0.iter().map(full).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (store, name) in self.0.iter().zip(&names) {
            let state = if store.open { "open" } else { "not open yet" };
            writeln!(f, "{name:width$}  {}  {state}", store.driver)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(namespace: &str, name: &str, open: bool) -> Told {
        Told {
            namespace: namespace.into(),
            name: name.into(),
            driver: "memory".into(),
            open,
        }
    }

    #[test]
    fn stores_are_in_columns() {
        let stores = [told("", "fast", true), told("test", "slow", false)];
        let text = Table(&stores).to_string();
        assert_eq!(text, "fast       memory  open\ntest/slow  memory  not open yet\n");
    }

    #[test]
    fn no_store_is_said() {
        assert!(Table(&[]).to_string().contains("built-in"));
    }

    #[test]
    fn settings_are_an_object() {
        assert!(object("{}").is_ok());
        assert!(object("[]").is_err() && object("{").is_err());
    }
}
