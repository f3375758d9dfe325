//! Faults between the parts and the API, and between the API and its disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cox_api::{Body, Reason, Request, Response, Status, Transport, Verb};
use cox_env::Env;
use futures::StreamExt;
use serde_json::Value;

use crate::Mutant;
use crate::observer::Observer;

/// Chances of one call, in percent.
const DELAYED: u64 = 30;
const REFUSED: u64 = 6;
const UNANSWERED: u64 = 4;
/// By how many pods [`Mutant::ScalesTooFar`] is wrong: more than any surge here.
const TOO_FAR: i64 = 4;
/// How many evictions [`Mutant::GenerousBudgets`] allows.
const GENEROUS: u64 = 9;
/// The longest delay of a call and the longest life of a watch while faults happen, in milliseconds.
const DELAY_MS_MAX: u64 = 400;
const WATCH_MS_MAX: u64 = 30_000;

/// Whether faults happen now. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Weather(Arc<AtomicBool>);

impl Weather {
    pub(crate) fn set(&self, bad: bool) {
        self.0.store(bad, Ordering::Relaxed);
    }

    pub(crate) fn is_bad(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A way to the API that fails while the weather is bad.
pub(crate) struct Faulty {
    pub(crate) inner: Arc<dyn Transport>,
    pub(crate) env: Env,
    pub(crate) weather: Weather,
    pub(crate) observer: Observer,
    pub(crate) mutant: Option<Mutant>,
}

impl Faulty {
    fn hits(&self, percent: u64) -> bool {
        self.weather.is_bad() && self.env.chance().below(100) < percent
    }

    fn no_answer(&self) -> Status {
        if self.env.chance().below(2) == 0 {
            Status::internal("the connection was lost")
        } else {
            Status::new(504, Reason::Timeout, "Timeout: request did not complete within the allotted timeout")
        }
    }

    async fn carry_out(&self, request: Request) -> Result<Response, Status> {
        let on_pods = request.resource.plural == "pods" && request.subresource.is_none();
        match self.mutant {
            Some(Mutant::DuplicateCreates) if on_pods && request.verb == Verb::Create => {
                let _ = self.inner.call(request.clone()).await;
                self.inner.call(request).await
            }
            Some(Mutant::ScalesTooFar) if request.resource.plural == "replicasets" => {
                self.inner.call(rescaled(request, |number| number + TOO_FAR)).await
            }
            Some(Mutant::ShrinksTooFar)
                if request.resource.plural == "replicasets" && self.observer.shrinks(&request) =>
            {
                self.inner.call(rescaled(request, |_| 0)).await
            }
            Some(Mutant::GenerousBudgets) if request.resource.plural == "poddisruptionbudgets" => {
                self.inner.call(with(request, "/status/disruptionsAllowed", GENEROUS.into())).await
            }
            Some(Mutant::DeletesAtOnce) if on_pods && request.verb == Verb::Delete => {
                self.inner.call(with(request, "/gracePeriodSeconds", 0.into())).await
            }
            Some(Mutant::KeepsFinalizers) if on_pods && takes_off_finalizer(&request) => {
                self.inner.call(Request { verb: Verb::Get, body: Body::None, ..request }).await
            }
            _ => self.inner.call(request).await,
        }
    }
}

/// The same request with another value in the last of these places, where the place around it is there.
fn with(mut request: Request, place: &str, value: Value) -> Request {
    let (around, last) = place.rsplit_once('/').unwrap_or_default();
    if let Body::Patch(_, body) | Body::Json(body) = &mut request.body
        && let Some(around) = body.pointer_mut(around).and_then(Value::as_object_mut)
    {
        around.insert(last.to_owned(), value);
    }
    request
}

/// The same request asking for another number of replicas.
fn rescaled(mut request: Request, change: impl Fn(i64) -> i64) -> Request {
    if let Body::Patch(_, body) | Body::Json(body) = &mut request.body
        && let Some(replicas) = body.pointer_mut("/spec/replicas")
        && let Some(number) = replicas.as_i64().filter(|number| *number > 0)
    {
        *replicas = change(number).into();
    }
    request
}

fn takes_off_finalizer(request: &Request) -> bool {
    matches!(&request.body, Body::Patch(_, patch)
        if patch["metadata"].get("$deleteFromPrimitiveList/finalizers").is_some())
}

#[async_trait]
impl Transport for Faulty {
    async fn call(&self, request: Request) -> Result<Response, Status> {
        if self.hits(DELAYED) {
            self.env.sleep(Duration::from_millis(self.env.chance().below(DELAY_MS_MAX))).await;
        }
        if self.hits(REFUSED) {
            return Err(self.no_answer());
        }
        let lost = !request.verb.is_read() && self.hits(UNANSWERED);
        let makes_pod = request.resource.plural == "pods" && request.verb == Verb::Create;
        let response = self.carry_out(request).await?;
        if lost {
            if let (true, Response::Object { object, .. }) = (makes_pod, &response) {
                self.observer.excuse(object.uid());
            }
            return Err(self.no_answer());
        }
        match response {
            Response::Watch(watch) if self.weather.is_bad() => {
                let env = self.env.clone();
                let life = Duration::from_millis(env.chance().below(WATCH_MS_MAX));
                let cut = Box::pin(async move { env.sleep(life).await });
                Ok(Response::Watch(watch.take_until(cut).boxed()))
            }
            response => Ok(response),
        }
    }
}
