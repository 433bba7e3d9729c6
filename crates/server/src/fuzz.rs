//! Entry points for fuzzers: configuration files. `fuzz/` drives them with libFuzzer, the tests here with damaged samples.
//! None may panic, whatever the bytes are.

use crate::config::{self, Overrides, Source};

/// `belay.yaml`, or Layotto's JSON: read and checked, every finding shown with its place.
pub fn configuration(bytes: &[u8]) {
    let source = Source::Text {
        name: "belay.yaml".to_owned(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    };
    let environment = |name: &str| (!name.starts_with('_')).then(|| name.to_lowercase());
    let loaded = config::load(&source, &Overrides::default(), &drivers::all(), &environment);
    let (text, findings) = match loaded {
        Ok(loaded) => (loaded.text, loaded.findings),
        Err(rejected) => {
            assert!(!rejected.findings.is_empty(), "it was refused for a reason");
            (rejected.text, rejected.findings)
        }
    };
    for finding in findings {
        assert!(!text.show(&finding).is_empty());
    }
}

#[cfg(test)]
mod tests {
    use testkit::mutate::storm;

    const YAML: &[u8] = br"
listen: { layotto: '127.0.0.1:0', admin: off }
engine: { mode: relaxed, reserve_mib: 1 }
apps: [{ id: app, callback: 127.0.0.1:9999 }]
hellos: { helloworld: { greeting: '${GREETING:-hello}' } }
components:
  - { name: state_demo, driver: embedded, ttl_seconds: 60, settings: { retentionSeconds: 60 } }
  - { name: secret_demo, driver: secret-file, settings: { secretsFile: ./s.json } }
  - &a { name: b, driver: http-binding, settings: { url: 'http://h/' } }
  - *a
";

    #[test]
    fn configurations_of_any_bytes_are_read_or_refused() {
        let samples: [&[u8]; 4] = [
            YAML,
            include_bytes!("../../../configs/dev.yaml"),
            include_bytes!("../../../configs/belay.yaml"),
            include_bytes!("../../../configs/layotto.json"),
        ];
        storm(&samples, 5_000, super::configuration);
    }
}
