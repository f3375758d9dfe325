//! One suite for every backend.

#[path = "../support/mod.rs"]
mod support;

mod commits;
mod history;
mod watches;

/// Runs each test on every backend.
macro_rules! suite {
    ($($group:ident :: $test:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $test() { crate::$group::$test(&crate::support::Medium::memory()).await; })*
        }
        mod shared {
            $(#[tokio::test] async fn $test() { crate::$group::$test(&crate::support::Medium::shared()).await; })*
        }
        mod embedded {
            $(#[tokio::test] async fn $test() { crate::$group::$test(&crate::support::Medium::embedded()).await; })*
        }
    };
}

suite! {
    commits::expectations_are_checked,
    commits::a_transaction_happens_whole_or_not_at_all,
    commits::revisions_rise_by_one,
    commits::what_cannot_be_a_transaction_is_refused,
    commits::everything_is_there_after_a_restart,
    commits::thousands_are_the_same_after_a_restart,
    commits::concurrent_writers_lose_nothing,
    commits::a_closed_store_says_so,
    history::a_snapshot_stays_as_it_was,
    history::pages_are_consistent,
    history::the_past_is_found_again,
    history::ranges_follow_the_order_of_keys,
    history::waiting_for_a_revision,
    watches::events_say_what_happened,
    watches::a_watch_resumes_where_it_was,
    watches::history_that_is_gone_is_expired,
    watches::interests_are_kept_apart,
    watches::a_slow_watcher_is_cut_off_alone,
    watches::progress_tells_what_was_seen,
    watches::a_list_and_its_watch_fit_together,
    watches::a_hundred_thousand_events_stopped_and_resumed,
}
