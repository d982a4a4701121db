//! What a loss of power leaves of records that were being written.

use super::*;
use crate::runtime::ContainerFilter;

#[tokio::test]
async fn records_that_a_loss_of_power_cut_are_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let start = |name| {
        let runtime = &runtime;
        async move { started(runtime, &shell(name, "exit 3")).await }
    };
    let ids = join_all(["whole", "cut", "end"].map(start)).await;
    let [whole, cut, end] = [&ids[0], &ids[1], &ids[2]];
    for id in &ids {
        assert_eq!(exit_code(&runtime, id).await, Some(3));
    }
    let [cut_at, end_at] = [cut, end].map(|id| runtime.inner.dir.container(id));
    drop(runtime);
    std::fs::write(cut_at.join("container.json"), "{\"created_at\":").unwrap();
    std::fs::write(end_at.join("end.json"), "").unwrap();
    std::fs::write(dir.path().join("format"), "").unwrap();

    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let found: Vec<_> = runtime
        .containers(&ContainerFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|found| found.id)
        .collect();
    assert!(
        found.contains(whole) && found.contains(end) && !found.contains(cut),
        "{found:?}"
    );
    assert!(!cut_at.exists());
    assert_eq!(exit_code(&runtime, whole).await, Some(3));
    // How it ended is lost, that it ended is not.
    assert!(matches!(
        ended(&runtime, end).await.state,
        ContainerState::Exited { .. }
    ));
}
