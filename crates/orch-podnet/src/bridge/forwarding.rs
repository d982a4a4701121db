//! What a firewall of iptables must let pass: a Docker engine has the machine forward nothing but what it knows.
//!
//! It sets the policy of iptables' chain `FORWARD` to `DROP`, and has even packets between two ports of one bridge go
//! through it (`bridge-nf-call-iptables`). Accepting them in a table of one's own does not help: a packet passes only if
//! all tables let it. So there, and only there, rules for the bridge come at the end of that chain, where all that others
//! have to say of a packet has been said, and in place of the policy alone.

use std::fs::File;
use std::time::Duration;

use orch_core::runtime::RuntimeError;

use crate::command;

const BOUND: Duration = Duration::from_secs(20);

/// Whether rules are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Where the policy is `DROP`.
    IfDropped,
    Never,
}

/// Sees to the rules of `bridge` in both families.
pub(super) fn ensure(bridge: &str, wanted: Wanted, lock: &File) -> Result<(), RuntimeError> {
    for program in ["iptables", "ip6tables"] {
        // Whoever has made such rules has the program.
        let Some(path) = command::find(program) else {
            continue;
        };
        let run = |arguments: &[&str]| {
            let arguments: Vec<&str> = ["-w", "10"].iter().chain(arguments).copied().collect();
            let what = || format!("{program} {}", arguments.join(" "));
            let variables = [("PATH", command::search_path())];
            let ended = command::run(&path, &arguments, variables, &[], BOUND, Some(lock))
                .map_err(|error| RuntimeError::failed(what(), error))?;
            if ended.status.success() {
                Ok(String::from_utf8_lossy(&ended.out).into_owned())
            } else {
                Err(RuntimeError::failed(what(), ended.complaint()))
            }
        };
        let chain = match run(&["-S", "FORWARD"]) {
            Ok(chain) => chain,
            // A kernel without these tables drops nothing by them.
            Err(error) => {
                tracing::debug!(%error, program, "no chain FORWARD");
                continue;
            }
        };
        for change in changes(&chain, bridge, wanted) {
            let arguments: Vec<&str> = change.split_whitespace().collect();
            run(&arguments)?;
            tracing::info!(program, rule = change, "changed what the machine forwards");
        }
    }
    Ok(())
}

/// The rules: what sandboxes send, and what answers them or comes by a port of the machine.
fn rules(bridge: &str) -> [String; 2] {
    let comment = format!("-m comment --comment orch-podnet-{bridge} -j ACCEPT");
    [
        format!("FORWARD -i {bridge} {comment}"),
        format!("FORWARD -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT {comment}"),
    ]
}

/// What is to be changed, given the chain as `iptables -S` shows it: pure.
fn changes(chain: &str, bridge: &str, wanted: Wanted) -> Vec<String> {
    let drops = chain.lines().any(|line| line.trim() == "-P FORWARD DROP");
    let wants = drops && wanted == Wanted::IfDropped;
    let mark = format!("orch-podnet-{bridge}");
    let ours = |line: &&str| line.split_whitespace().any(|word| word.trim_matches('"') == mark);
    let there: Vec<&str> = chain.lines().filter(ours).collect();
    if wants && there.len() == rules(bridge).len() {
        return Vec::new();
    }
    let away = there
        .iter()
        .filter_map(|line| line.strip_prefix("-A "))
        .map(|rule| format!("-D {rule}"));
    let added = rules(bridge)
        .into_iter()
        .filter(|_| wants)
        .map(|rule| format!("-A {rule}"));
    away.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-A FORWARD -i orch0 -m comment --comment orch-podnet-orch0 -j ACCEPT";
    const TWO: &str = "-A FORWARD -o orch0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT \
                       -m comment --comment orch-podnet-orch0 -j ACCEPT";

    #[test]
    fn rules_are_there_where_the_policy_drops_and_once() {
        let docker = "-A FORWARD -j DOCKER-USER\n-A FORWARD -o docker0 -j DOCKER";
        for (chain, wanted, expected) in [
            ("-P FORWARD ACCEPT".to_owned(), Wanted::IfDropped, vec![]),
            (format!("-P FORWARD ACCEPT\n{docker}"), Wanted::IfDropped, vec![]),
            (
                format!("-P FORWARD DROP\n{docker}"),
                Wanted::IfDropped,
                vec![ONE.to_owned(), TWO.to_owned()],
            ),
            (
                format!("-P FORWARD DROP\n{docker}\n{ONE}\n{TWO}"),
                Wanted::IfDropped,
                vec![],
            ),
            // One was lost: both anew, in their order.
            (
                format!("-P FORWARD DROP\n{TWO}\n{docker}"),
                Wanted::IfDropped,
                vec![TWO.replacen("-A", "-D", 1), ONE.to_owned(), TWO.to_owned()],
            ),
            // The engine is gone, and so is the reason.
            (
                format!("-P FORWARD ACCEPT\n{ONE}\n{TWO}"),
                Wanted::IfDropped,
                vec![ONE.replacen("-A", "-D", 1), TWO.replacen("-A", "-D", 1)],
            ),
            (
                format!("-P FORWARD DROP\n{ONE}"),
                Wanted::Never,
                vec![ONE.replacen("-A", "-D", 1)],
            ),
            // Another network's are not ours.
            (
                format!(
                    "-P FORWARD DROP\n{}\n{}",
                    ONE.replace("orch0", "orch01"),
                    TWO.replace("orch0", "orch01")
                ),
                Wanted::Never,
                vec![],
            ),
        ] {
            assert_eq!(changes(&chain, "orch0", wanted), expected, "{chain}");
        }
    }
}
