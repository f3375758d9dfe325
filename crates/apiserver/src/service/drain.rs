//! The end of the service, step by step: it is announced, then nobody new is listened to, then what is under way ends.
//! Source: <https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/>, upstream's lifecycle
//! signals `ShutdownInitiated`, `AfterShutdownDelayDuration` and `NotAcceptingNewRequest`.

use cox_env::Latest;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Serves,
    Announced,
    Drains,
}

/// How far the end has come.
pub(crate) struct Drain(Latest<Step>);

impl Drain {
    pub(super) fn new() -> Drain {
        Drain(Latest::new(Step::Serves))
    }

    fn reach(&self, step: Step) {
        self.0.modify(|now| *now = (*now).max(step));
    }

    /// From now on `/readyz` says no.
    pub(crate) fn announce(&self) {
        self.reach(Step::Announced);
    }

    /// From now on nobody new is listened to, and watches end.
    pub(crate) fn begin(&self) {
        self.reach(Step::Drains);
    }

    /// Whether the end is announced.
    pub(crate) fn is_announced(&self) -> bool {
        self.0.get() >= Step::Announced
    }

    /// Resolves when nobody new is listened to.
    pub(crate) async fn until_begun(&self) {
        self.0.wait_for(|step| step >= Step::Drains).await;
    }
}
