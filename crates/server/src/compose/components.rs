//! Opens every component of the configuration and puts it where its family looks for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_layotto::components::{
    Bus, Components, Consuming, Hello, Lock, Policy, Prefix, Secrets, Sequence, State,
};
use base::{Error, Result, codes};
use drivers::derived::{self, Upkeep, pubsub::Topics};
use ports::secret::SecretStore;
use ports::{Component, Context, Driver, Metadata, Port, Registry};

use crate::config::{self, Access, Config, SecretReference};

/// Opens components; also those that are opened again under other settings.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) registry: Registry,
    pub(super) context: Context,
}

/// One component of the configuration, open, with the ports it serves.
pub(super) struct Opened {
    pub(super) component: Component,
    pub(super) serves: Vec<Port>,
    pub(super) upkeep: Upkeep,
}

impl Opener {
    /// Opens all of them: secret stores first, because other settings may refer to secrets.
    pub(super) async fn open_all(&self, config: &mut Config) -> Result<(Components, Vec<Upkeep>)> {
        let mut components = Components {
            app_id: config.apps.first().map(|app| app.id.clone()).unwrap_or_default(),
            hellos: hellos(config),
            ..Components::default()
        };
        let mut upkeep = vec![];
        let (secrets, others) = self.in_order(config)?;
        for index in secrets {
            self.open_into(&config.components[index], &mut components, &mut upkeep)
                .await?;
        }
        resolve_secrets(config, &components).await?;
        for index in others {
            self.open_into(&config.components[index], &mut components, &mut upkeep)
                .await?;
        }
        Ok((components, upkeep))
    }

    /// Indexes of the components that serve secrets, and of all the others.
    fn in_order(&self, config: &Config) -> Result<(Vec<usize>, Vec<usize>)> {
        let mut serves = vec![];
        for component in &config.components {
            serves.push(component.serves(&**self.driver(&component.driver)?));
        }
        Ok((0..serves.len()).partition(|index| serves[*index].contains(&Port::Secret)))
    }

    async fn open_into(
        &self,
        configured: &config::Component,
        components: &mut Components,
        upkeep: &mut Vec<Upkeep>,
    ) -> Result<()> {
        let opened = self.open(configured).await?;
        for port in &opened.serves {
            put(components, configured, *port, &opened.component).await?;
        }
        upkeep.push(opened.upkeep);
        Ok(())
    }

    /// An error names the component.
    pub(super) async fn open(&self, configured: &config::Component) -> Result<Opened> {
        let driver = self.driver(&configured.driver)?;
        let serves = configured.serves(&**driver);
        let opened = driver
            .open(&configured.name, &configured.settings(), &self.context)
            .await;
        let mut component = opened.map_err(|error| {
            let message = format!(
                "component {} cannot be opened: {}",
                configured.name,
                error.message()
            );
            Error::new(codes::COMPONENT_NOT_OPENED, message).because(error)
        })?;
        let retention = Topics::of(&configured.settings())?.retention();
        let upkeep = derived::complete(
            &mut component,
            &configured.name,
            &serves,
            retention,
            &self.context.tasks,
        );
        Ok(Opened {
            component,
            serves,
            upkeep,
        })
    }

    pub(super) fn driver(&self, name: &str) -> Result<&Arc<dyn Driver>> {
        self.registry
            .get(name)
            .ok_or_else(|| Error::new(codes::DRIVER_UNKNOWN, format!("no driver {name} is built in")))
    }
}

fn hellos(config: &Config) -> std::collections::HashMap<String, Hello> {
    let hello = |(name, greeting): (&String, &config::Greeting)| {
        (
            name.clone(),
            Hello {
                greeting: greeting.greeting.clone(),
            },
        )
    };
    config.hellos.iter().map(hello).collect()
}

/// Puts one port of an open component under its name, with the options of this family.
pub(super) async fn put(
    components: &mut Components,
    configured: &config::Component,
    port: Port,
    component: &Component,
) -> Result<()> {
    let name = configured.name.clone();
    let missing = || {
        let message = format!("driver {} does not serve {}", configured.driver, port.name());
        Error::new(codes::INTERNAL, message)
    };
    macro_rules! store {
        ($field:ident) => {
            component.$field.clone().ok_or_else(missing)?
        };
    }
    match port {
        Port::Kv => {}
        Port::State => {
            let ttl = configured.ttl_seconds.map(Duration::from_secs);
            let state = State {
                store: store!(state),
                prefix: prefix(configured, Prefix::None)?,
                ttl,
            };
            components.states.insert(name, state);
        }
        Port::Lock => {
            let lock = Lock {
                store: store!(lock),
                prefix: prefix(configured, Prefix::AppId)?,
            };
            components.locks.insert(name, lock);
        }
        Port::Sequencer => {
            let sequence = Sequence {
                store: store!(sequencer),
                prefix: prefix(configured, Prefix::AppId)?,
            };
            raise(&sequence, &components.app_id, configured).await?;
            components.sequencers.insert(name, sequence);
        }
        Port::PubSub => {
            let bus = Bus {
                store: store!(pubsub),
                consuming: consuming(configured),
            };
            components.pubsubs.insert(name, bus);
        }
        Port::Config => drop(components.configs.insert(name, store!(config))),
        Port::File => drop(components.files.insert(name, store!(file))),
        Port::Binding => drop(components.bindings.insert(name, store!(binding))),
        Port::Secret => {
            let secrets = Secrets {
                store: store!(secret),
                policy: policy(configured),
            };
            components.secrets.insert(name, secrets);
        }
        Port::Invoke => components.invoker = Some(store!(invoke)),
    }
    Ok(())
}

fn prefix(configured: &config::Component, default: Prefix) -> Result<Prefix> {
    let setting = configured.key_prefix.as_deref().unwrap_or_default();
    Prefix::parse(setting, default).ok_or_else(|| {
        let message = format!("the key prefix '{setting}' of {} contains '||'", configured.name);
        Error::new(codes::CONFIG_INVALID, message)
    })
}

/// `bigger_than`: an id that is too low is raised, never refused.
async fn raise(sequence: &Sequence, app_id: &str, configured: &config::Component) -> Result<()> {
    for (key, at_least) in &configured.bigger_than {
        let key = sequence.physical(app_id, &configured.name, key);
        sequence.store.raise(&key, *at_least).await?;
    }
    Ok(())
}

fn consuming(configured: &config::Component) -> Consuming {
    let default = Consuming::default();
    Consuming {
        consumer_id: configured.consumer_id.clone().unwrap_or(default.consumer_id),
        in_flight_max: configured.in_flight_max.unwrap_or(default.in_flight_max),
        deliveries_max: configured.deliveries_max.unwrap_or(default.deliveries_max),
        dead_letter_topic: configured.dead_letter_topic.clone(),
        deadline: configured
            .delivery_deadline_ms
            .map_or(default.deadline, Duration::from_millis),
    }
}

fn policy(configured: &config::Component) -> Policy {
    let secrets = &configured.secrets;
    Policy {
        deny_by_default: secrets.default_access == Access::Deny,
        allowed: secrets.allowed.clone(),
        denied: secrets.denied.clone(),
    }
}

/// Puts secrets into the settings that refer to them.
async fn resolve_secrets(config: &mut Config, components: &Components) -> Result<()> {
    let mut values = BTreeMap::new();
    for reference in config.secret_references() {
        values.insert(reference.clone(), secret(&reference, components).await?);
    }
    let unknown = || Error::new(codes::INTERNAL, "a reference to a secret was not looked up");
    config::resolve_secrets(config, &|reference: &SecretReference| {
        values.get(reference).cloned().ok_or_else(unknown)
    })
}

async fn secret(reference: &SecretReference, components: &Components) -> Result<String> {
    let store: &Arc<dyn SecretStore> = match components.secrets.get(&reference.store) {
        Some(secrets) => &secrets.store,
        None => {
            let message = format!(
                "a setting refers to the secret store {}, which is not there",
                reference.store
            );
            return Err(Error::new(codes::COMPONENT_UNKNOWN, message));
        }
    };
    let values = store.get(&reference.key, &Metadata::new()).await?;
    reference.pick(&values).map(str::to_owned).ok_or_else(|| {
        let message = format!(
            "secret {} of store {} has no such value",
            reference.key, reference.store
        );
        Error::new(codes::SECRET_NOT_FOUND, message)
    })
}
