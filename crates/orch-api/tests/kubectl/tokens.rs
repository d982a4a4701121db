//! Tokens of service accounts, with which kubectl is who it says.

use super::{Kubectl, Served, programs};

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_tokens_that_hold_while_their_account_is_there() {
    for program in programs() {
        let served = Served::to(program).await;
        let kubectl = &served.kubectl;
        kubectl.run("create serviceaccount bot").await;
        let token = kubectl.run("create token bot --duration=20m").await;
        let as_bot = ["--token", token.trim(), "auth", "whoami"];
        // The token of the configuration would count first.
        let own = std::fs::read_to_string(&kubectl.config).unwrap();
        let mut own: serde_json::Value = serde_json::from_str(&own).unwrap();
        own["users"][0]["user"] = serde_json::json!({});
        let bot = Kubectl {
            program: kubectl.program.clone(),
            config: served.file("of-bot", &own.to_string()).into(),
        };
        let (is_done, said) = bot.try_run(&as_bot).await;
        assert!(
            is_done && said.contains("system:serviceaccount:default:bot"),
            "{said}"
        );
        let (is_done, said) = kubectl
            .try_run(&["create", "token", "bot", "--duration=9m"])
            .await;
        assert!(
            !is_done && said.contains("may not specify a duration less than 10 minutes"),
            "{said}"
        );
        kubectl.run("delete serviceaccount bot").await;
        let (is_done, said) = bot.try_run(&as_bot).await;
        assert!(!is_done && said.contains("Unauthorized"), "{said}");
        served.stop().await;
    }
}
