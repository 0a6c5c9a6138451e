//! Crates that can't work in a component, and what takes their place. Some of them don't compile, with an error that
//! does not say what to do. Others compile, and panic when they are used.

/// What is wrong with the crates of this list: lines like `tokio v1.54.1 features=macros,rt`.
pub fn unfit(tree: &str) -> Vec<String> {
    let mut found: Vec<String> = tree.lines().filter_map(of_crate).collect();
    found.sort();
    found.dedup();
    found
}

/// Is the error of a build about one of them?
pub fn is_about_one(output: &str) -> bool {
    ["are supported on wasm", "unsupported by mio", "could not compile `mio`", "could not compile `socket2`"]
        .iter()
        .any(|words| output.contains(words))
}

fn of_crate(line: &str) -> Option<String> {
    let (name, rest) = line.split_once(" v")?;
    let features = rest.split_once("features=").map_or("", |(_, features)| features);
    let features: Vec<&str> = features.trim_end_matches(" (*)").split(',').collect();
    match name {
        "tokio" => {
            const NO: [&str; 6] = ["net", "rt-multi-thread", "fs", "process", "signal", "io-std"];
            let full = ["full"].into_iter().filter(|full| features.contains(full));
            let refused: Vec<&str> = full.chain(NO.into_iter().filter(|no| features.contains(no))).collect();
            let first = refused.first()?;
            Some(format!(
                "tokio has the feature `{first}`, which a component can't have: it has no threads, sockets or signals. \
                 Take `default-features = false` and of its features only sync, macros, io-util, rt and time. The SDK \
                 itself waits for calls and requests: brrr::join!, brrr::http (`cargo tree -e features -i tokio` says \
                 who asks for the feature)"
            ))
        }
        "reqwest" => Some(
            "reqwest sends nothing in a component, and panics: it is made for sockets and for browsers. Use brrr::http: \
             brrr::http::get(url).send().await (`cargo tree -i reqwest` says which crate uses it)"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_cannot_work_are_named_with_what_to_use() {
        let tree = "my-handlers v0.1.0 (/w/my-handlers) features=\n\
                    reqwest v0.12.28 features=__tls,default\n\
                    tokio v1.54.1 features=bytes,default,full,net,rt-multi-thread\n\
                    tokio v1.54.1 features=bytes,default,full,net,rt-multi-thread (*)\n\
                    tokio-macros v2.7.2 (proc-macro) features=net\n";
        let found = unfit(tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("reqwest") && found[0].contains("brrr::http"), "{found:?}");
        assert!(found[1].contains("`full`") && found[1].contains("sync, macros, io-util, rt and time"), "{found:?}");
        assert!(unfit("tokio v1.54.1 features=macros,rt,sync,time (*)\n").is_empty());
        assert!(unfit("tokio v1.54.1 features=io-std\n")[0].contains("`io-std`"));
    }
}
