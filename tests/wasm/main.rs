//! The wasm ring, from outside.
use brrr_host::wasm::*;
#[tokio::test]
async fn loads() {
    tracing_subscriber::fmt().init();
    let engine = Engine::new(&EngineOptions { cache_dir: Some("/tmp/brrr-cache".into()), ..Default::default() }).unwrap();
    for p in ["rust/rust-hello", "rust/rust-conformance", "typescript/demo", "python/demo"] {
        let t = std::time::Instant::now();
        let g = Guest::load(&engine, format!("/work/main/build/guests/{p}.wasm").as_ref(), &|s| println!("{s:?}")).await;
        match g { Ok(g) => println!("{p} {:?} {:?} {:?}", t.elapsed(), g.tasks, g.imports), Err(e) => println!("{p}: {e}") }
    }
}
