//! Fakes of bindings, secrets and services.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base::{Error, Result, codes};
use parking_lot::Mutex;
use ports::Metadata;
use ports::binding::{self, Binding};
use ports::invoke::{self, Invocation, Invoker};
use ports::secret::{Secret, SecretStore};

use super::Fault;

/// A binding that answers with what it was given.
#[derive(Default)]
pub(crate) struct Outside {
    pub fault: Fault,
}

#[async_trait]
impl Binding for Outside {
    fn operations(&self) -> &[&'static str] {
        &["create", "get"]
    }

    async fn invoke(&self, request: binding::Request) -> Result<binding::Reply> {
        self.fault.check()?;
        let mut metadata = request.metadata;
        metadata.insert("operation".into(), request.operation);
        Ok(binding::Reply {
            data: request.data,
            metadata,
        })
    }
}

/// Secrets by name, each with one value.
#[derive(Default)]
pub(crate) struct SecretTexts {
    pub fault: Fault,
    pub texts: Mutex<BTreeMap<String, String>>,
}

#[async_trait]
impl SecretStore for SecretTexts {
    async fn get(&self, name: &str, _metadata: &Metadata) -> Result<Secret> {
        self.fault.check()?;
        let text = self.texts.lock().get(name).cloned();
        let text =
            text.ok_or_else(|| Error::new(codes::SECRET_NOT_FOUND, format!("secret {name} not found")))?;
        Ok(Secret::from([(name.to_owned(), text)]))
    }

    async fn bulk(&self, _metadata: &Metadata) -> Result<BTreeMap<String, Secret>> {
        self.fault.check()?;
        let texts = self.texts.lock().clone();
        Ok(texts
            .into_iter()
            .map(|(name, text)| (name.clone(), Secret::from([(name, text)])))
            .collect())
    }
}

/// Services that answer as a test says. Without a reply they take too long; stuck ones do not even notice.
#[derive(Default)]
pub(crate) struct Services {
    pub fault: Fault,
    pub reply: Mutex<Option<invoke::Reply>>,
    pub asked: Mutex<Vec<Invocation>>,
    pub stuck: AtomicBool,
}

#[async_trait]
impl Invoker for Services {
    async fn invoke(&self, invocation: Invocation) -> Result<invoke::Reply> {
        let timeout = invocation.timeout;
        self.asked.lock().push(invocation);
        self.fault.check()?;
        let reply = self.reply.lock().clone();
        if let Some(reply) = reply {
            return Ok(reply);
        }
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(timeout).await;
        Err(Error::new(codes::INVOKE_FAILED, "no answer in time"))
    }
}
