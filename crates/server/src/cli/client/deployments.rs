//! `belay deployments`: the services that durable execution calls, and where they are.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use clap::{Args, Subcommand};
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::admin::{self, Admin};
use super::{Common, Console, Exit, Failure};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Ask a deployment what it has, and send new invocations of its services there.
    Register(Register),
    /// List the deployments, and the services of each.
    List(List),
    /// Show one deployment: what it speaks, and its services with their handlers.
    Describe(One),
    /// Forget a deployment. Invocations that are pinned to it cannot go on.
    Remove(One),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Register {
    /// Where it listens: http://127.0.0.1:9080
    uri: String,
    /// Ask it again, though it is known already.
    #[arg(long)]
    force: bool,
    /// Let a service change its type.
    #[arg(long)]
    breaking: bool,
    /// Only say what it has.
    #[arg(long)]
    dry_run: bool,
    /// Speak HTTP/1.1 with it.
    #[arg(long)]
    use_http_11: bool,
    /// A header that it gets with every call: NAME=VALUE. May be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct One {
    /// Its id: dp_1...
    id: String,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Deserialize)]
struct Deployment {
    id: String,
    uri: String,
    min_protocol_version: u32,
    max_protocol_version: u32,
    sdk_version: Option<String>,
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    ty: String,
    revision: Option<u32>,
    handlers: Vec<Handler>,
}

#[derive(Debug, Deserialize)]
struct Handler {
    name: String,
    ty: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Command {
    pub(super) fn common(&self) -> &Common {
        match self {
            Command::Register(register) => &register.admin.common,
            Command::List(list) => &list.admin.common,
            Command::Describe(one) | Command::Remove(one) => &one.admin.common,
        }
    }

    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        match self {
            Command::Register(register) => register.run(console).await,
            Command::List(list) => {
                let value = list.admin.ask(Method::GET, "/deployments", None).await?;
                let all: Vec<Deployment> = admin::read(&value["deployments"])?;
                console.say_lines(list.admin.common.form(), Table(&all), &value)?;
                Ok(Exit::Ok)
            }
            Command::Describe(one) => {
                let value = one
                    .admin
                    .ask(Method::GET, &format!("/deployments/{}", one.id), None)
                    .await?;
                console.say_lines(
                    one.admin.common.form(),
                    admin::read::<Deployment>(&value)?,
                    &value,
                )?;
                Ok(Exit::Ok)
            }
            Command::Remove(one) => {
                let path = format!("/deployments/{}?force=true", one.id);
                one.admin.ask(Method::DELETE, &path, None).await?;
                let json = json!({ "deployment": one.id, "done": "removed" });
                console.say_lines(
                    one.admin.common.form(),
                    format_args!("removed {}\n", one.id),
                    &json,
                )?;
                Ok(Exit::Ok)
            }
        }
    }
}

impl Register {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let headers: BTreeMap<_, _> = self.headers.iter().cloned().collect();
        let body = json!({
            "uri": self.uri, "force": self.force, "breaking": self.breaking, "dry_run": self.dry_run,
            "use_http_11": self.use_http_11, "additional_headers": headers,
        });
        let value = self.admin.ask(Method::POST, "/deployments", Some(&body)).await?;
        console.say_lines(
            self.admin.common.form(),
            admin::read::<Deployment>(&value)?,
            &value,
        )?;
        Ok(Exit::Ok)
    }
}

struct Table<'a>(&'a [Deployment]);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(
                f,
                "no deployment is registered: belay deployments register http://127.0.0.1:9080"
            );
        }
        for deployment in self.0 {
            let services: Vec<_> = deployment
                .services
                .iter()
                .map(|service| service.name.as_str())
                .collect();
            writeln!(f, "{}  {}  {}", deployment.id, deployment.uri, services.join(" "))?;
        }
        Ok(())
    }
}

impl Display for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.id, self.uri)?;
        let sdk = self
            .sdk_version
            .as_deref()
            .unwrap_or("an SDK that does not say its name");
        let (min, max) = (self.min_protocol_version, self.max_protocol_version);
        writeln!(f, "  speaks protocol versions {min} to {max}, {sdk}")?;
        for service in &self.services {
            let revision = service
                .revision
                .map_or(String::new(), |revision| format!(", revision {revision}"));
            writeln!(f, "  {}  {}{revision}", service.name, service.ty)?;
            for handler in &service.handlers {
                match &handler.ty {
                    Some(ty) => writeln!(f, "    {}  {ty}", handler.name)?,
                    None => writeln!(f, "    {}", handler.name)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_shown_with_its_handlers() {
        let value = json!({
            "id": "dp_1", "uri": "http://h", "min_protocol_version": 5, "max_protocol_version": 6, "sdk_version": null,
            "services": [{"name": "Counter", "ty": "VirtualObject", "revision": 2, "handlers": [
                {"name": "add", "ty": "Exclusive"}, {"name": "plain"}]}],
        });
        let deployment: Deployment = serde_json::from_value(value).expect("a deployment");
        let expected = "dp_1  http://h\n  speaks protocol versions 5 to 6, an SDK that does not say its name\n  Counter  \
                        VirtualObject, revision 2\n    add  Exclusive\n    plain\n";
        assert_eq!(deployment.to_string(), expected);
        assert_eq!(Table(&[deployment]).to_string(), "dp_1  http://h  Counter\n");
        assert!(Table(&[]).to_string().contains("register"));
    }

    #[test]
    fn headers_have_a_name_and_a_value() {
        assert_eq!(header("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(header("a").is_err());
    }
}
