//! A registry with TLS, by names as on the internet: a real one, with a server of tokens, behind a proxy.

use crate::certificates::Authority;
use crate::harness::{Env, guest};
use crate::oci::{log_in, publish, text};
use crate::proxy_server::Proxy;
use crate::registry_server::{PASSWORD, Registry, USER, Wants};
use crate::token_server::{SERVICE, TokenServer};

const AUTH: &str = "auth.example.com";

#[test]
fn a_registry_is_reached_by_tls_and_its_certificate_is_checked() {
    let mut env = Env::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let tokens = TokenServer::start_tls(AUTH, &theirs.certificate(AUTH));
    let certificate = ours.certificate(SERVICE);
    let Some(registry) = Registry::start_with(&env.path(""), Wants::Token(&tokens), Some(&certificate)) else {
        return;
    };
    let plain = Env::new();
    let Some(without) = Registry::start(&plain.path(""), Wants::Nothing) else { return };
    let proxy = Proxy::start(&[
        (&format!("{SERVICE}:443"), registry.port()),
        (&format!("{AUTH}:443"), tokens.port),
        ("other.example.com:443", registry.port()),
        ("plain.example.com:443", without.port()),
    ]);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        env.set(name, &proxy.url);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        env.set(name, "");
    }
    let both = env.write("both.pem", [ours.pem(), theirs.pem()].concat());
    let ours = env.write("ours.pem", ours.pem());
    let theirs = env.write("theirs.pem", theirs.pem());
    let name = format!("oci://{SERVICE}/team/hello:1");
    log_in(&env, SERVICE, USER, PASSWORD);
    let trust = |env: &mut Env, file: &std::path::Path| env.set("SSL_CERT_FILE", text(file));

    // Neither has a certificate of an authority that is trusted; then the server of tokens has none.
    trust(&mut env, &theirs);
    let component = guest();
    let publishing = ["publish", text(&component), &name];
    let refused = env.run(publishing);
    refused.refused(20, &[&name, "certificate is not trusted", "SSL_CERT_FILE"]);
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    env.run(["run", &name]).refused(20, &[&name, "certificate is not trusted", "SSL_CERT_FILE"]);
    trust(&mut env, &ours);
    env.run(publishing).refused(20, &[&name, AUTH, "certificate is not trusted", "SSL_CERT_FILE"]);
    assert!(tokens.asked().is_empty(), "the password was sent to nobody");

    trust(&mut env, &both);
    let pinned = publish(&env, &component, &name);
    env.run(["pull", &name, "-o", "a.wasm"]).ok();
    env.run(["pull", &pinned, "-o", "b.wasm"]).ok();
    for file in ["a.wasm", "b.wasm"] {
        assert!(std::fs::read(env.path(file)).expect("a file") == std::fs::read(&component).expect("the guest"));
    }
    let connected = proxy.connected();
    for host in [SERVICE, AUTH] {
        assert!(connected.contains(&format!("{host}:443")), "{connected:?}");
    }
    // The certificate of another name, and no TLS at all.
    env.run(["pull", "oci://other.example.com/team/hello:1"]).refused(20, &["certificate is not trusted", "name"]);
    env.run(["pull", "oci://plain.example.com/team/hello:1"]).refused(20, &["does not speak TLS"]);
}
