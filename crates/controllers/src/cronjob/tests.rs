use cox_client::fake::FakeApi;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use super::run;
use crate::common::Context;
use crate::common::testing::{events, object, pass, world};

async fn started(more: Value) -> (FakeApi, Context) {
    let (api, context) = world();
    let mut spec = json!({"schedule": "*/5 * * * *", "jobTemplate": {"metadata": {"labels": {"l": "m"}},
        "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    api.put::<CronJob>(&object(json!({"metadata": {"namespace": "ns", "name": "tick"}, "spec": spec})));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    (api, context)
}

fn end(api: &FakeApi, name: &str, how: &str, context: &Context) {
    let now = context.env.now_rfc3339();
    api.edit::<Job>("ns", name, |job| {
        let status = json!({"conditions": [{"type": how, "status": "True", "lastTransitionTime": now}]});
        job.status = serde_json::from_value(status).unwrap();
    });
}

fn names(api: &FakeApi) -> Vec<String> {
    api.all::<Job>().iter().map(|job| job.metadata.name.clone().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn jobs_start_in_time_and_history_is_kept() {
    let (api, context) = started(json!({})).await;
    assert!(names(&api).is_empty());
    let mut all = Vec::new();
    for round in 1..=6 {
        pass(&context, 300).await;
        let fresh = names(&api).pop().unwrap();
        assert!(!all.contains(&fresh), "round {round}");
        end(&api, &fresh, "Complete", &context);
        all.push(fresh);
        pass(&context, 0).await;
    }
    pass(&context, 2).await;
    // The first minute of 2026, counted from 1970.
    assert_eq!(all[0], format!("tick-{}", 29_453_760 + 5));
    assert_eq!(names(&api), all[3..], "three successes are kept");
    let cron = api.one::<CronJob>("ns", "tick").unwrap().status.unwrap();
    assert!(cron.last_successful_time.is_some() && cron.active.is_none());
    let job = api.one::<Job>("ns", &all[5]).unwrap();
    let annotations = job.metadata.annotations.unwrap();
    assert_eq!(annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"], "2026-01-01T00:30:00Z");
    assert_eq!(job.metadata.labels.unwrap()["l"], "m");
    let told = events(&api);
    assert!(told.contains(&format!("SuccessfulCreate: Created job {}", all[0])));
    assert!(told.contains(&format!("SawCompletedJob: Saw completed job: {}, condition: Complete", all[0])));
}

#[tokio::test(start_paused = true)]
async fn policies_of_concurrency() {
    for (policy, expected) in [("Allow", 3), ("Forbid", 1), ("Replace", 1)] {
        let (api, context) = started(json!({"concurrencyPolicy": policy})).await;
        pass(&context, 910).await;
        assert_eq!(names(&api).len(), expected, "{policy}");
        let first = format!("tick-{}", 29_453_760 + 5);
        assert_eq!(names(&api).contains(&first), policy != "Replace");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_job() {
    let (api, context) = started(json!({})).await;
    api.fault(|request| {
        (request.subresource.as_deref() == Some("status"))
            .then(|| cox_api::Status::new(500, cox_api::Reason::InternalError, "down"))
    });
    pass(&context, 310).await;
    assert_eq!(names(&api).len(), 1);
    api.heal();
    pass(&context, 60).await;
    assert_eq!(names(&api).len(), 1);
    assert!(api.one::<CronJob>("ns", "tick").unwrap().status.unwrap().last_schedule_time.is_some());
}

#[tokio::test(start_paused = true)]
async fn missed_times_are_made_up_once_within_the_deadline() {
    let (api, context) = started(json!({"suspend": true, "startingDeadlineSeconds": 400})).await;
    pass(&context, 3600).await;
    assert!(names(&api).is_empty());
    api.edit::<CronJob>("ns", "tick", |cron| cron.spec.suspend = Some(false));
    pass(&context, 10).await;
    assert_eq!(names(&api), [format!("tick-{}", 29_453_760 + 60)]);
}
