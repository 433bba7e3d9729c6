//! The services of ../README.md, with the unmodified Rust SDK: `restate-services PORT FILE`.

use std::fs;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};

static FILE: OnceLock<String> = OnceLock::new();

#[derive(Serialize, Deserialize)]
struct Wait {
    key: String,
    ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Completion {
    id: String,
    value: String,
}

fn file() -> &'static str {
    FILE.get().expect("main has set it")
}

fn note(key: &str, what: &str) -> std::io::Result<()> {
    let mut notes = fs::File::options().create(true).append(true).open(file())?;
    notes.write_all(format!("{key} {what}\n").as_bytes())
}

/// Fails unless it is the third attempt.
fn third(key: &str) -> std::io::Result<u64> {
    note(key, "attempt")?;
    let line = format!("{key} attempt");
    let notes = fs::read_to_string(file())?;
    let attempt = notes.lines().filter(|found| **found == line).count();
    if attempt < 3 {
        return Err(std::io::Error::other(format!("attempt {attempt} fails")));
    }
    Ok(attempt as u64)
}

async fn run(ctx: &Context<'_>, key: &str, what: &str) -> Result<(), TerminalError> {
    let noted = ctx.run(|| async { Ok(note(key, what)?) });
    noted.name(what).await
}

async fn nap(ctx: &Context<'_>, wait: Wait) -> Result<String, HandlerError> {
    note(&wait.key, "attempt")?;
    run(ctx, &wait.key, "before").await?;
    ctx.sleep(Duration::from_millis(wait.ms)).await?;
    run(ctx, &wait.key, "after").await?;
    Ok("slept".to_owned())
}

async fn awakeable(ctx: &Context<'_>, key: String) -> Result<String, HandlerError> {
    note(&key, "attempt")?;
    let (id, value) = ctx.awakeable::<String>();
    run(ctx, &key, &format!("id {id}")).await?;
    Ok(value.await?)
}

struct Greeter;

#[restate_sdk::service]
impl Greeter {
    #[handler]
    async fn greet(&self, _ctx: Context<'_>, name: String) -> Result<String, HandlerError> {
        Ok(format!("Hello {name}"))
    }

    #[handler]
    async fn three(&self, ctx: Context<'_>, key: String) -> Result<u64, HandlerError> {
        let mut sum = 0;
        for (step, number) in [("one", 1), ("two", 2), ("three", 3)] {
            let key = &key;
            let noted = ctx.run(move || async move {
                note(key, step)?;
                Ok(number)
            });
            sum += noted.name(step).await?;
        }
        Ok(sum)
    }

    #[handler]
    async fn chain(&self, ctx: Context<'_>, name: String) -> Result<String, HandlerError> {
        Ok(ctx.service_client::<GreeterClient>().greet(name).call().await?)
    }

    #[handler(name = "chainNap")]
    async fn chain_nap(&self, ctx: Context<'_>, wait: Json<Wait>) -> Result<String, HandlerError> {
        Ok(ctx.service_client::<GreeterClient>().nap(wait).call().await?)
    }

    #[handler(name = "oneWay")]
    async fn one_way(&self, ctx: Context<'_>, key: String) -> Result<(), HandlerError> {
        ctx.object_client::<CounterClient>(key).add(1).send();
        Ok(())
    }

    #[handler]
    async fn later(&self, ctx: Context<'_>, Json(wait): Json<Wait>) -> Result<(), HandlerError> {
        let add = ctx.object_client::<CounterClient>(wait.key).add(1);
        add.send_after(Duration::from_millis(wait.ms));
        Ok(())
    }

    #[handler]
    async fn nap(&self, ctx: Context<'_>, Json(wait): Json<Wait>) -> Result<String, HandlerError> {
        nap(&ctx, wait).await
    }

    #[handler]
    async fn slow(&self, ctx: Context<'_>, Json(wait): Json<Wait>) -> Result<String, HandlerError> {
        run(&ctx, &wait.key, "one").await?;
        let slow = ctx.run(|| async {
            note(&wait.key, "slow")?;
            tokio::time::sleep(Duration::from_millis(wait.ms)).await;
            Ok(())
        });
        slow.name("slow").await?;
        run(&ctx, &wait.key, "three").await?;
        Ok("done".to_owned())
    }

    #[handler]
    async fn fail(&self, _ctx: Context<'_>, message: String) -> Result<(), HandlerError> {
        Err(TerminalError::new_with_code(418, message).into())
    }

    #[handler]
    async fn flaky(&self, _ctx: Context<'_>, key: String) -> Result<u64, HandlerError> {
        Ok(third(&key)?)
    }

    #[handler(name = "flakyRun")]
    async fn flaky_run(&self, ctx: Context<'_>, key: String) -> Result<u64, HandlerError> {
        let policy = RunRetryPolicy::default().initial_delay(Duration::from_millis(50));
        let run = ctx.run(|| async { Ok(third(&key)?) });
        Ok(run.name("third").retry_policy(policy).await?)
    }

    #[handler]
    async fn awakeable(&self, ctx: Context<'_>, key: String) -> Result<String, HandlerError> {
        awakeable(&ctx, key).await
    }

    #[handler]
    async fn resolve(&self, ctx: Context<'_>, Json(it): Json<Completion>) -> Result<(), HandlerError> {
        ctx.resolve_awakeable(&it.id, it.value);
        Ok(())
    }

    #[handler]
    async fn reject(&self, ctx: Context<'_>, Json(it): Json<Completion>) -> Result<(), HandlerError> {
        ctx.reject_awakeable(&it.id, TerminalError::new(it.value));
        Ok(())
    }
}

struct Idle;

#[restate_sdk::service]
impl Idle {
    #[handler]
    async fn nap(&self, ctx: Context<'_>, Json(wait): Json<Wait>) -> Result<String, HandlerError> {
        nap(&ctx, wait).await
    }

    #[handler]
    async fn awakeable(&self, ctx: Context<'_>, key: String) -> Result<String, HandlerError> {
        awakeable(&ctx, key).await
    }
}

struct Counter;

#[restate_sdk::object]
impl Counter {
    #[handler]
    async fn add(&self, ctx: ObjectContext<'_>, n: u64) -> Result<u64, HandlerError> {
        let count = ctx.get::<u64>("count").await?.unwrap_or_default() + n;
        ctx.set("count", count);
        ctx.set("last", n);
        Ok(count)
    }

    #[handler]
    async fn get(&self, ctx: SharedObjectContext<'_>) -> Result<u64, HandlerError> {
        Ok(ctx.get::<u64>("count").await?.unwrap_or_default())
    }

    #[handler]
    async fn lazy(&self, ctx: SharedObjectContext<'_>) -> Result<u64, HandlerError> {
        Ok(ctx.get::<u64>("count").await?.unwrap_or_default())
    }

    #[handler]
    async fn keys(&self, ctx: SharedObjectContext<'_>) -> Result<Json<Vec<String>>, HandlerError> {
        let mut keys = ctx.get_keys().await?;
        keys.sort();
        Ok(Json(keys))
    }

    #[handler]
    async fn clear(&self, ctx: ObjectContext<'_>) -> Result<(), HandlerError> {
        ctx.clear("last");
        Ok(())
    }

    #[handler]
    async fn reset(&self, ctx: ObjectContext<'_>) -> Result<(), HandlerError> {
        ctx.clear_all();
        Ok(())
    }
}

struct Wf;

#[restate_sdk::workflow]
impl Wf {
    #[handler]
    async fn run(&self, ctx: WorkflowContext<'_>, text: String) -> Result<String, HandlerError> {
        let value = ctx.promise::<String>("go").await?;
        Ok(format!("{text}:{value}"))
    }

    #[handler]
    async fn finish(&self, ctx: SharedWorkflowContext<'_>, value: String) -> Result<(), HandlerError> {
        ctx.resolve_promise("go", value);
        Ok(())
    }

    #[handler]
    async fn refuse(&self, ctx: SharedWorkflowContext<'_>, reason: String) -> Result<(), HandlerError> {
        ctx.reject_promise("go", TerminalError::new(reason));
        Ok(())
    }

    #[handler]
    async fn peek(&self, ctx: SharedWorkflowContext<'_>) -> Result<String, HandlerError> {
        let value = ctx.peek_promise::<String>("go").await?;
        Ok(value.unwrap_or_else(|| "-".to_owned()))
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    FILE.set(arguments.next().expect("a file"))
        .expect("it is set once");
    let idle = Idle
        .into_service_definition()
        .options(ServiceOptions::new().inactivity_timeout(Duration::from_millis(100)));
    let lazy = HandlerOptions::new().enable_lazy_state(true);
    let counter = Counter
        .into_service_definition()
        .options(ServiceOptions::new().handler("lazy", lazy));
    let endpoint = Endpoint::builder()
        .bind(Greeter)
        .bind(idle)
        .bind(counter)
        .bind(Wf)
        .build();
    HttpServer::new(endpoint)
        .listen_and_serve(([127, 0, 0, 1], port).into())
        .await;
}
