//! CronJobs, and when their Jobs begin.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces, with};

fn cron_job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": "default"},
        "spec": {"schedule": "5 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}],
        }}}}},
    })
}

#[test]
fn a_cron_job_is_filled_and_the_template_of_its_jobs_in_part() {
    let made = created("batch/v1", cron_job()).unwrap();
    for (path, expected) in [
        ("/concurrencyPolicy", json!("Allow")),
        ("/suspend", json!(false)),
        ("/successfulJobsHistoryLimit", json!(3)),
        ("/failedJobsHistoryLimit", json!(1)),
        ("/jobTemplate/spec/template/spec/dnsPolicy", json!("ClusterFirst")),
        // Each Job is filled when it is made.
        ("/jobTemplate/spec/backoffLimit", Value::Null),
    ] {
        let found = made["spec"].pointer(path).cloned().unwrap_or_default();
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn schedules_are_those_of_cron() {
    for schedule in [
        "* * * * *",
        "*/15 0-6,12 1,15 jan-mar MON",
        "5/10 ? * * ?",
        "0  0 31\t12 6",
        "@hourly",
        "@every 1h30m",
        "@every 1.5s",
        // Lists may have empty places.
        ", 1,,2 * * *",
    ] {
        let made = created("batch/v1", with(cron_job(), "/spec/schedule", json!(schedule)));
        assert!(made.is_ok(), "{schedule}: {made:?}");
    }
    for (schedule, expected) in [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        (
            "* 5-3 * * *",
            "beginning of range (5) beyond end of range (3): 5-3",
        ),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        (
            "x * * * *",
            "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        (
            "* * L * *",
            "failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax",
        ),
        ("@reboot", "unrecognized descriptor: @reboot"),
        (
            "@every day",
            "failed to parse duration @every day: time: invalid duration \"day\"",
        ),
        (
            "TZ=UTC * * * * *",
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
    ] {
        let refused = created("batch/v1", with(cron_job(), "/spec/schedule", json!(schedule))).unwrap_err();
        let expected = format!("spec.schedule: Invalid value: {schedule:?}: {expected}");
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn cron_jobs_that_are_wrong_are_refused() {
    let explicit = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
    refuses(
        &cron_job(),
        &[
            ("/spec/schedule", json!(""), "spec.schedule: Required value"),
            (
                "/spec/timeZone",
                json!("Europe/Nowhere"),
                "spec.timeZone: Invalid value: \"Europe/Nowhere\": unknown time zone Europe/Nowhere",
            ),
            (
                "/spec/timeZone",
                json!("europe/berlin"),
                "spec.timeZone: Invalid value: \"europe/berlin\": unknown time zone europe/berlin",
            ),
            (
                "/spec/timeZone",
                json!("Local"),
                &format!("spec.timeZone: Invalid value: \"Local\": {explicit}"),
            ),
            (
                "/spec/concurrencyPolicy",
                json!("Never"),
                "spec.concurrencyPolicy: Unsupported value: \"Never\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
            ),
            (
                "/spec/jobTemplate/spec/selector",
                json!({"matchLabels": {"a": "b"}}),
                "spec.jobTemplate.spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` will be auto-generated",
            ),
            (
                "/spec/jobTemplate/spec/template/spec/restartPolicy",
                json!("Always"),
                "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ),
            (
                "/metadata/name",
                json!("n".repeat(53)),
                &format!(
                    "metadata.name: Invalid value: \"{}\": must be no more than 52 characters",
                    "n".repeat(53)
                ),
            ),
        ],
    );
    for zone in [
        "Europe/Berlin",
        "UTC",
        "Etc/UTC",
        "America/Argentina/Buenos_Aires",
    ] {
        let made = created("batch/v1", with(cron_job(), "/spec/timeZone", json!(zone)));
        assert!(made.is_ok(), "{zone}: {made:?}");
    }
    replaces(
        &cron_job(),
        &[
            ("/spec/schedule", json!("@daily"), ""),
            ("/spec/suspend", json!(true), ""),
            (
                "/spec/timeZone",
                json!("Nowhere"),
                "spec.timeZone: Invalid value: \"Nowhere\": unknown time zone Nowhere",
            ),
        ],
    );
}
