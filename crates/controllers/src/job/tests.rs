use cox_client::fake::FakeApi;
use cox_client::{DeleteOptions, Propagation};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{run, view};
use crate::common::Context;
use crate::common::testing::{events, object, pass, world};

fn job(spec: Value) -> Job {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"job": "work"}});
    spec["template"] = json!({"metadata": {"labels": {"job": "work"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}});
    object(json!({"metadata": {"namespace": "ns", "name": "work"}, "spec": spec}))
}

async fn started(spec: Value) -> (FakeApi, Context) {
    let (api, context) = world();
    api.put(&job(spec));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    (api, context)
}

fn active(api: &FakeApi) -> Vec<Pod> {
    api.all::<Pod>().into_iter().filter(crate::common::pods::is_active).collect()
}

fn end(api: &FakeApi, context: &Context, pod: &Pod, phase: &str) {
    let now = context.env.now_rfc3339();
    api.edit::<Pod>("ns", pod.metadata.name.as_deref().unwrap(), |pod| {
        let code = i32::from(phase == "Failed");
        pod.status = serde_json::from_value(json!({"phase": phase, "containerStatuses": [{"name": "c",
            "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"terminated": {"exitCode": code, "finishedAt": now}}}]}))
        .unwrap();
    });
}

fn told(api: &FakeApi) -> (i32, i32, i32, Vec<String>) {
    let status = api.one::<Job>("ns", "work").unwrap().status.unwrap();
    let conditions = status.conditions.unwrap_or_default();
    let conditions = conditions
        .iter()
        .map(|c| format!("{}={}:{}", c.type_, c.status, c.reason.as_deref().unwrap_or("")))
        .collect();
    (status.active.unwrap_or(0), status.succeeded.unwrap_or(0), status.failed.unwrap_or(0), conditions)
}

#[tokio::test(start_paused = true)]
async fn completes_after_enough_successes() {
    let (api, context) = started(json!({"completions": 5, "parallelism": 2, "backoffLimit": 6})).await;
    let mut ended = 0;
    while ended < 5 {
        let pods = active(&api);
        assert!(!pods.is_empty() && pods.len() <= 2);
        assert!(pods.iter().all(view::has_finalizer));
        end(&api, &context, &pods[0], "Succeeded");
        ended += 1;
        pass(&context, 1).await;
    }
    pass(&context, 5).await;
    let expected = vec!["SuccessCriteriaMet=True:CompletionsReached", "Complete=True:CompletionsReached"];
    assert_eq!(told(&api), (0, 5, 0, expected.into_iter().map(str::to_owned).collect()));
    assert!(api.all::<Pod>().iter().all(|pod| !view::has_finalizer(pod)));
    let status = api.one::<Job>("ns", "work").unwrap().status.unwrap();
    assert!(status.completion_time.is_some() && status.start_time.is_some());
    assert!(events(&api).contains(&"Completed: Job completed".to_owned()));
    assert_eq!(api.all::<Pod>().len(), 5, "nobody was made too many");
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_after_a_pause_up_to_the_limit() {
    let (api, context) = started(json!({"completions": 1, "parallelism": 1, "backoffLimit": 2})).await;
    for pause in [10, 20] {
        end(&api, &context, &active(&api)[0], "Failed");
        pass(&context, pause - 2).await;
        assert!(active(&api).is_empty(), "not before {pause} s");
        pass(&context, 4).await;
        assert_eq!(active(&api).len(), 1);
    }
    end(&api, &context, &active(&api)[0], "Failed");
    pass(&context, 60).await;
    let (active, succeeded, failed, conditions) = told(&api);
    assert_eq!((active, succeeded, failed), (0, 0, 3));
    assert_eq!(conditions, ["FailureTarget=True:BackoffLimitExceeded", "Failed=True:BackoffLimitExceeded"]);
    assert!(
        events(&api)
            .contains(&"BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_writes_counts_each_pod_once() {
    for crash_after in 0..12 {
        let (api, context) = started(json!({"completions": 3, "parallelism": 3})).await;
        let mut left = crash_after;
        api.fault(move |request| {
            if request.verb.is_read() || request.resource.plural == "events" {
                return None;
            }
            left -= 1;
            (left < 0).then(|| cox_api::Status::new(500, cox_api::Reason::InternalError, "down"))
        });
        for pod in active(&api) {
            end(&api, &context, &pod, "Succeeded");
        }
        pass(&context, 1).await;
        context.env.tasks().end();
        api.heal();
        // A new process over the same objects.
        let env = cox_env::Env::simulated(2, crate::common::testing::at(100));
        let client = api.client();
        let informers = cox_client::SharedInformers::new(client.clone(), env.clone());
        let events = cox_client::EventRecorder::new(client.clone(), &env, "job-controller", "");
        let again = Context { env, client, informers, events };
        again.env.spawn(run(again.clone()));
        pass(&again, 60).await;
        let (active, succeeded, failed, _) = told(&api);
        assert_eq!((active, succeeded, failed), (0, 3, 0), "crashed after {crash_after} writes");
        assert_eq!(api.all::<Pod>().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_everything() {
    let (api, context) =
        started(json!({"completions": 2, "parallelism": 2, "activeDeadlineSeconds": 30})).await;
    pass(&context, 20).await;
    assert_eq!(active(&api).len(), 2);
    pass(&context, 20).await;
    assert!(active(&api).is_empty());
    // Deleted pods keep their finalizer until they have ended, as a kubelet would make them.
    for pod in api.all::<Pod>() {
        end(&api, &context, &pod, "Failed");
    }
    pass(&context, 5).await;
    assert_eq!(told(&api).3, ["FailureTarget=True:DeadlineExceeded", "Failed=True:DeadlineExceeded"]);
    assert_eq!(told(&api).2, 2);
}

#[tokio::test(start_paused = true)]
async fn indexes_are_filled_in_order_and_completed_once() {
    let spec = json!({"completions": 4, "parallelism": 2, "completionMode": "Indexed"});
    let (api, context) = started(spec).await;
    let mut pods = active(&api);
    pods.sort_by_key(view::index_of);
    assert_eq!(pods.iter().map(view::index_of).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert!(pods[0].metadata.name.as_ref().unwrap().starts_with("work-0-"));
    assert_eq!(pods[1].spec.as_ref().unwrap().hostname.as_deref(), Some("work-1"));
    end(&api, &context, &pods[1], "Succeeded");
    pass(&context, 1).await;
    let status = api.one::<Job>("ns", "work").unwrap().status.unwrap();
    assert_eq!(status.completed_indexes.as_deref(), Some("1"));
    while let Some(pod) = active(&api).first() {
        end(&api, &context, pod, "Succeeded");
        pass(&context, 1).await;
    }
    pass(&context, 5).await;
    let status = api.one::<Job>("ns", "work").unwrap().status.unwrap();
    assert_eq!((status.completed_indexes.as_deref(), status.succeeded), (Some("0-3"), Some(4)));
    assert_eq!(told(&api).3[1], "Complete=True:CompletionsReached");
}

#[tokio::test(start_paused = true)]
async fn limits_per_index_fail_single_indexes() {
    let spec = json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed",
        "backoffLimit": i32::MAX, "backoffLimitPerIndex": 1});
    let (api, context) = started(spec).await;
    let of = |api: &FakeApi, index| {
        active(api).into_iter().find(|pod| view::index_of(pod) == Some(index)).unwrap()
    };
    end(&api, &context, &of(&api, 1), "Succeeded");
    end(&api, &context, &of(&api, 0), "Failed");
    pass(&context, 15).await;
    let retry = of(&api, 0);
    assert_eq!(view::failures_before(&retry), 1);
    end(&api, &context, &retry, "Failed");
    pass(&context, 30).await;
    let status = api.one::<Job>("ns", "work").unwrap().status.unwrap();
    assert_eq!(status.failed_indexes.as_deref(), Some("0"));
    assert_eq!(told(&api).3, ["FailureTarget=True:FailedIndexes", "Failed=True:FailedIndexes"]);
    assert_eq!((told(&api).1, told(&api).2), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn success_policy_ends_early() {
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed",
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]}});
    let (api, context) = started(spec).await;
    let leader = active(&api).into_iter().find(|pod| view::index_of(pod) == Some(0)).unwrap();
    end(&api, &context, &leader, "Succeeded");
    pass(&context, 2).await;
    for pod in api.all::<Pod>().into_iter().filter(crate::common::pods::is_deleted) {
        end(&api, &context, &pod, "Failed");
    }
    pass(&context, 5).await;
    assert_eq!(told(&api).3, ["SuccessCriteriaMet=True:SuccessPolicy", "Complete=True:SuccessPolicy"]);
}

#[tokio::test(start_paused = true)]
async fn suspension_takes_the_pods_away_and_back() {
    let (api, context) = started(json!({"completions": 2, "parallelism": 2})).await;
    api.edit::<Job>("ns", "work", |job| job.spec.as_mut().unwrap().suspend = Some(true));
    pass(&context, 2).await;
    assert!(active(&api).is_empty());
    assert_eq!(told(&api).3, ["Suspended=True:JobSuspended"]);
    for pod in api.all::<Pod>() {
        api.remove::<Pod>("ns", pod.metadata.name.as_deref().unwrap());
    }
    api.edit::<Job>("ns", "work", |job| job.spec.as_mut().unwrap().suspend = Some(false));
    pass(&context, 60).await;
    assert_eq!(active(&api).len(), 2);
    assert_eq!(told(&api).3, ["Suspended=False:JobResumed"]);
    let told = events(&api);
    assert!(
        told.contains(&"Suspended: Job suspended".into()) && told.contains(&"Resumed: Job resumed".into())
    );
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_deleted_job_are_let_go() {
    let (api, context) = started(json!({"completions": 2, "parallelism": 2})).await;
    let options = DeleteOptions::default().propagation(Propagation::Background);
    context.client.delete::<Job>("ns", "work", &options).await.unwrap();
    pass(&context, 2).await;
    let pods = api.all::<Pod>();
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|pod| !view::has_finalizer(pod)));
}
