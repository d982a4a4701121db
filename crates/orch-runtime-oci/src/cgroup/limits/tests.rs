use super::*;

const MIB: u64 = 1 << 20;

/// A group of its own files, with values that a new group has.
fn tree(unified: bool) -> (tempfile::TempDir, Group) {
    let dir = tempfile::tempdir().unwrap();
    let files: &[(&str, &str)] = if unified {
        &[
            ("cpu.weight", "100\n"),
            ("cpu.max", "max 100000\n"),
            ("memory.current", "0\n"),
            ("memory.stat", "anon 0\n"),
            ("memory.max", "max\n"),
            ("memory.swap.max", "max\n"),
            ("pids.max", "max\n"),
            ("hugetlb.2MB.max", "max\n"),
            ("hugetlb.2MB.rsvd.max", "max\n"),
            ("hugetlb.1GB.max", "max\n"),
        ]
    } else {
        &[
            ("cpu.shares", "1024\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("cpu.cfs_quota_us", "-1\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
            ("pids.max", "max\n"),
            ("hugetlb.2MB.limit_in_bytes", "9223372036854771712\n"),
            ("hugetlb.2MB.rsvd.limit_in_bytes", "9223372036854771712\n"),
            ("hugetlb.64KB.limit_in_bytes", "9223372036854771712\n"),
        ]
    };
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let place = || Some(dir.path().to_owned());
    let group = Group {
        unified,
        cpu: place(),
        cpuacct: place(),
        memory: place(),
        pids: place(),
        hugetlb: place(),
        freezer: place(),
    };
    (dir, group)
}

fn read(dir: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).unwrap()
}

fn everything() -> Resources {
    Resources {
        cpu_shares: Some(512),
        cpu_limit_millis: Some(1500),
        memory_limit_bytes: Some(64 * MIB),
        pids_limit: Some(99),
        oom_score_adj: Some(7),
        hugepages: [(2 << 20, 6 << 20)].into(),
    }
}

#[test]
fn limits_are_written_in_the_words_of_either_version() {
    let (dir, group) = tree(false);
    group.limit(&everything()).unwrap();
    for (name, expected) in [
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "150000"),
        ("memory.limit_in_bytes", "67108864"),
        ("memory.memsw.limit_in_bytes", "67108864"),
        ("pids.max", "99"),
        ("hugetlb.2MB.limit_in_bytes", "6291456"),
        ("hugetlb.2MB.rsvd.limit_in_bytes", "6291456"),
        ("hugetlb.64KB.limit_in_bytes", "9223372036854771712\n"),
    ] {
        assert_eq!(read(&dir, name), expected, "{name}");
    }
    let (dir, group) = tree(true);
    group.limit(&everything()).unwrap();
    for (name, expected) in [
        ("cpu.weight", "59"),
        ("cpu.max", "150000 100000"),
        ("memory.max", "67108864"),
        // Not what is left of the limit: none.
        ("memory.swap.max", "0"),
        ("pids.max", "99"),
        ("hugetlb.2MB.max", "6291456"),
        ("hugetlb.2MB.rsvd.max", "6291456"),
        ("hugetlb.1GB.max", "max\n"),
    ] {
        assert_eq!(read(&dir, name), expected, "{name}");
    }
    // A kernel before 5.7 does not count what is reserved.
    fs::remove_file(dir.path().join("hugetlb.2MB.rsvd.max")).unwrap();
    group.limit(&everything()).unwrap();
}

#[test]
fn pages_are_called_as_the_kernel_calls_them() {
    for (bytes, name) in [
        (64 << 10, "64KB"),
        (2 << 20, "2MB"),
        (512 << 20, "512MB"),
        (16 << 30, "16GB"),
    ] {
        assert_eq!(page_size(bytes), name);
    }
}

#[test]
fn what_is_not_asked_for_stays_and_what_the_machine_lacks_is_left_out() {
    for unified in [false, true] {
        let (dir, mut group) = tree(unified);
        group.limit(&Resources::default()).unwrap();
        assert_eq!(read(&dir, "pids.max"), "max\n");
        let memory = if unified {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        let swap = if unified {
            "memory.swap.max"
        } else {
            "memory.memsw.limit_in_bytes"
        };
        // Of a kernel that does not count what is swapped out.
        fs::remove_file(dir.path().join(swap)).unwrap();
        group.pids = None;
        group.limit(&everything()).unwrap();
        assert_eq!(read(&dir, memory), "67108864");
        assert_eq!(read(&dir, "pids.max"), "max\n");
        assert!(!dir.path().join(swap).exists());
    }
}

#[test]
fn memory_alone_is_never_allowed_more_than_memory_with_swap() {
    let (_, group) = tree(false);
    let wanted = Resources {
        memory_limit_bytes: Some(64 * MIB),
        ..Resources::default()
    };
    let order = |now| {
        let changes = group.changes(&wanted, Some(now));
        let names = changes.iter().map(|change| change.file.file_name().unwrap());
        names
            .map(|name| name.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (alone, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    assert_eq!(order(32 * MIB), [both, alone], "more than now");
    assert_eq!(order(64 * MIB), [alone, both]);
    assert_eq!(order(9_223_372_036_854_771_712), [alone, both], "less than now");
}

#[test]
fn what_means_no_limit_takes_one_away_and_too_little_time_becomes_the_least_that_the_kernel_takes() {
    let little = Resources {
        cpu_limit_millis: Some(1),
        ..Resources::default()
    };
    let none = |value: u64| Resources {
        cpu_limit_millis: Some(value),
        memory_limit_bytes: Some(value),
        pids_limit: Some(value),
        ..Resources::default()
    };
    for unified in [false, true] {
        let (quota, least, unlimited) = match unified {
            true => ("cpu.max", "1000 100000", "max 100000"),
            false => ("cpu.cfs_quota_us", "1000", "-1"),
        };
        let memory: &[_] = match unified {
            true => &[("memory.max", "max"), ("memory.swap.max", "max")],
            false => &[
                ("memory.limit_in_bytes", "-1"),
                ("memory.memsw.limit_in_bytes", "-1"),
            ],
        };
        for value in [0, u64::MAX] {
            let (dir, group) = tree(unified);
            group.limit(&everything()).unwrap();
            group.limit(&little).unwrap();
            assert_eq!(read(&dir, quota), least);
            // More than any limit, if there were one.
            let _ = fs::write(dir.path().join("memory.current"), "99\n");
            if !unified {
                // What the kernel shows, which a file does not.
                fs::write(dir.path().join("memory.limit_in_bytes"), "67108864\n").unwrap();
            }
            group.limit(&none(value)).unwrap();
            assert_eq!(read(&dir, quota), unlimited, "{value}");
            for (file, expected) in memory {
                assert_eq!(read(&dir, file), *expected, "{file} {value}");
            }
            assert_eq!(read(&dir, "pids.max"), "max");
        }
    }
    // Swap is let go first, or memory alone would be allowed more than both.
    let (_, group) = tree(false);
    let first = &group.changes(&none(0), Some(64 * MIB))[0];
    assert!(first.file.ends_with("memory.memsw.limit_in_bytes"), "{first:?}");
}

#[test]
fn of_version_2_all_that_is_in_a_group_is_killed_over_memory_together() {
    let (dir, mut group) = tree(true);
    group.end_together().unwrap();
    assert!(
        !dir.path().join("memory.oom.group").exists(),
        "the kernel may have none"
    );
    fs::write(dir.path().join("memory.oom.group"), "0\n").unwrap();
    group.end_together().unwrap();
    assert_eq!(read(&dir, "memory.oom.group"), "1");
    group.memory = None;
    fs::remove_dir_all(dir.path()).unwrap();
    group.end_together().unwrap();
    let (dir, group) = tree(false);
    fs::write(dir.path().join("memory.oom.group"), "0\n").unwrap();
    group.end_together().unwrap();
    assert_eq!(
        read(&dir, "memory.oom.group"),
        "0\n",
        "version 1 has no such thing"
    );
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    for unified in [false, true] {
        let (dir, group) = tree(unified);
        // Of those that are written last, one that cannot be.
        let last = dir.path().join("pids.max");
        fs::remove_file(&last).unwrap();
        let before = files(&dir);
        match group.limit(&everything()) {
            Err(Refused::Failed(file, _)) => assert_eq!(file, last),
            other => panic!("{other:?}"),
        }
        assert_eq!(files(&dir), before);
    }
}

fn files(dir: &tempfile::TempDir) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(dir.path()).unwrap().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.path(), text.trim().to_owned())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn version_2_is_not_given_a_limit_below_what_is_in_use() {
    let (dir, group) = tree(true);
    fs::write(dir.path().join("memory.current"), format!("{}\n", 100 * MIB)).unwrap();
    let stat = |file: u64| format!("anon 1\ninactive_file {}\nactive_file {}\n", file * MIB, 10 * MIB);
    fs::write(dir.path().join("memory.stat"), stat(20)).unwrap();
    let before = files(&dir);
    match group.limit(&everything()) {
        Err(refused @ Refused::InUse(used)) => {
            assert_eq!(used, 70 * MIB);
            assert!(refused.to_string().contains("73400320 bytes"), "{refused}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(files(&dir), before);
    // What is in files can be taken back.
    fs::write(dir.path().join("memory.stat"), stat(30)).unwrap();
    group.limit(&everything()).unwrap();
    assert_eq!(read(&dir, "memory.max"), "67108864");
}

#[test]
fn the_least_the_usual_and_the_most_shares_are_the_least_the_usual_and_the_most_weight() {
    for (shares, expected) in [
        (0, 1),
        (2, 1),
        (3, 2),
        (512, 59),
        (1024, 100),
        (1025, 101),
        (2048, 174),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(weight(shares), expected, "{shares}");
    }
}
