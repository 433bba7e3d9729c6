//! Log, metrics and traces of a MOSN file.

use super::super::document::{Content, Node};
use super::super::finding::Finding;
use super::go;

pub(super) fn convert(root: &Node, server: &Node, converted: &mut Node, findings: &mut Vec<Finding>) {
    log(server, converted, findings);
    metrics(root, converted, findings);
    tracing(root, findings);
}

fn log(server: &Node, converted: &mut Node, findings: &mut Vec<Finding>) {
    if let Some(node) = go::text(server, "default_log_level", findings) {
        let level = match node.text().unwrap_or_default().to_lowercase().as_str() {
            "trace" => "trace",
            "debug" => "debug",
            "" | "info" => "info",
            "warn" | "warning" => "warn",
            "error" | "critical" | "fatal" => "error",
            "off" => "off",
            other => {
                findings.push(node.warning(format!("`{other}` is no log level; `info` is used")));
                "info"
            }
        };
        converted.set(
            &["telemetry", "log", "level"],
            Node::made(node, Content::Text(level.into())),
        );
    }
    if let Some(path) = go::text(server, "default_log_path", findings)
        && !["", "stdout", "stderr"].contains(&path.text().unwrap_or_default())
    {
        findings.push(path.warning("no log files are written: the log is on standard error"));
    }
}

/// The Prometheus sink. The reference listens on every interface; here only this machine can read it.
fn metrics(root: &Node, converted: &mut Node, findings: &mut Vec<Finding>) {
    let Some(metrics) = go::map(root, "metrics", findings) else {
        return;
    };
    let sinks = go::list(metrics, "sinks", findings).map_or(&[][..], Node::items);
    let mut first = true;
    for sink in sinks {
        let kind = go::text(sink, "type", findings)
            .and_then(Node::text)
            .unwrap_or_default();
        if kind != "prometheus" || !first {
            findings
                .push(sink.warning("metrics are served to Prometheus, at one address; this sink is not fed"));
            continue;
        }
        first = false;
        let Some(config) = go::map(sink, "config", findings) else {
            continue;
        };
        if let Some((node, port)) = go::number(config, "port", findings) {
            let address = Node::made(node, Content::Text(format!("127.0.0.1:{port}")));
            converted.set(&["telemetry", "metrics", "listen"], address);
        }
        if let Some(path) = go::text(config, "endpoint", findings)
            && path.text() != Some("")
        {
            converted.set(&["telemetry", "metrics", "path"], path.clone());
        }
    }
}

fn tracing(root: &Node, findings: &mut Vec<Finding>) {
    let Some(tracing) = go::map(root, "tracing", findings) else {
        return;
    };
    if go::is_on(tracing, "enable", findings) {
        let driver = go::text(tracing, "driver", findings)
            .and_then(Node::text)
            .unwrap_or_default();
        findings.push(tracing.warning(format!(
            "no spans are sent to {driver}: Belay traces to an OpenTelemetry collector, `telemetry.otlp.endpoint` in a belay.yaml"
        )));
    }
}
