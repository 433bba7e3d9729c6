//! A component under other settings while the process runs.

use api_layotto::components::{Components, Hello, Reconfigure};
use base::{Error, Result, codes};
use ports::registry::Severity;
use ports::{Metadata, Port};
use serde_json::Value;

use super::components::{Opener, put};
use crate::config::Component;

/// What the configuration said at the start; changes are laid over it, one after the other.
pub(super) struct Composer {
    pub(super) opener: Opener,
    pub(super) configured: tokio::sync::Mutex<Vec<Component>>,
}

#[tonic::async_trait]
impl Reconfigure for Composer {
    async fn reconfigure(
        &self,
        current: &Components,
        kind: &str,
        name: &str,
        metadata: &Metadata,
    ) -> Result<Option<Components>> {
        if kind == "hellos" {
            return Ok(hello(current, name, metadata));
        }
        let Some(port) = port(kind) else { return Ok(None) };
        let mut configured = self.configured.lock().await;
        let found = self.find(&configured, port, name)?;
        let Some(index) = found else { return Ok(None) };
        let changed = changed(&configured[index], metadata)?;
        let component = self.component(current, &configured[index], &changed).await?;
        let driver = self.opener.driver(&changed.driver)?;
        let mut components = current.clone();
        for port in changed.serves(&**driver) {
            put(&mut components, &changed, port, &component).await?;
        }
        configured[index] = changed;
        Ok(Some(components))
    }
}

impl Composer {
    fn find(&self, configured: &[Component], port: Port, name: &str) -> Result<Option<usize>> {
        for (index, component) in configured.iter().enumerate() {
            let driver = self.opener.driver(&component.driver)?;
            if component.name == name && component.serves(&**driver).contains(&port) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// What the changed component stands on. Where only options of the family changed, that is what it stood on before:
    /// opening topics twice would give each consumer group two readers.
    async fn component(
        &self,
        current: &Components,
        before: &Component,
        changed: &Component,
    ) -> Result<ports::Component> {
        if before.settings == changed.settings {
            return Ok(kept(current, &changed.name));
        }
        if current.pubsubs.contains_key(&changed.name) {
            let message = format!(
                "the topics of {} cannot change while belay runs: restart it",
                changed.name
            );
            return Err(Error::new(codes::UNIMPLEMENTED, message));
        }
        self.check(changed)?;
        Ok(self.opener.open(changed).await?.component)
    }

    fn check(&self, component: &Component) -> Result<()> {
        let driver = self.opener.driver(&component.driver)?;
        let findings = driver.validate(&component.settings());
        match findings
            .iter()
            .find(|finding| finding.severity == Severity::Error)
        {
            None => Ok(()),
            Some(finding) => {
                let message = format!(
                    "setting {} of {}: {}",
                    finding.path, component.name, finding.message
                );
                Err(Error::new(codes::CONFIG_INVALID, message))
            }
        }
    }
}

/// The ports that are in force under that name.
fn kept(current: &Components, name: &str) -> ports::Component {
    ports::Component {
        kv: None,
        state: current.states.get(name).map(|state| state.store.clone()),
        pubsub: current.pubsubs.get(name).map(|bus| bus.store.clone()),
        lock: current.locks.get(name).map(|lock| lock.store.clone()),
        sequencer: current
            .sequencers
            .get(name)
            .map(|sequence| sequence.store.clone()),
        config: current.configs.get(name).cloned(),
        secret: current.secrets.get(name).map(|secrets| secrets.store.clone()),
        file: current.files.get(name).cloned(),
        binding: current.bindings.get(name).cloned(),
        invoke: current.invoker.clone(),
    }
}

/// The greeting is the one thing that the reference can change; without the key nothing changes, and that is no error.
fn hello(current: &Components, name: &str, metadata: &Metadata) -> Option<Components> {
    let mut components = current.clone();
    let hello = components.hellos.get_mut(name)?;
    if let Some(greeting) = metadata.get("hello") {
        *hello = Hello {
            greeting: greeting.clone(),
        };
    }
    Some(components)
}

/// Kinds are the sections of the reference's configuration.
pub(super) fn port(kind: &str) -> Option<Port> {
    Some(match kind {
        "state" => Port::State,
        "lock" => Port::Lock,
        "sequencer" => Port::Sequencer,
        "config_store" => Port::Config,
        "pub_subs" => Port::PubSub,
        "file" => Port::File,
        "secret_store" => Port::Secret,
        "bindings" => Port::Binding,
        "rpcs" => Port::Invoke,
        _ => return None,
    })
}

/// The family's own options by the reference's names, everything else as a setting of the driver.
fn changed(component: &Component, metadata: &Metadata) -> Result<Component> {
    let mut changed = component.clone();
    for (name, value) in metadata {
        match name.as_str() {
            "keyPrefix" => changed.key_prefix = Some(value.clone()),
            "consumerID" => changed.consumer_id = Some(value.clone()),
            "ttlInSeconds" => changed.ttl_seconds = Some(number(name, value)?),
            _ => drop(
                changed
                    .settings
                    .insert(name.clone(), Value::String(value.clone())),
            ),
        }
    }
    Ok(changed)
}

fn number(name: &str, value: &str) -> Result<u64> {
    value.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
        Error::new(
            codes::INVALID_ARGUMENT,
            format!("{name} must be a whole number above zero, not '{value}'"),
        )
    })
}
