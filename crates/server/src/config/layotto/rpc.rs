//! `rpcs.mosn`: which services `InvokeService` reaches. Layotto hands a call to a MOSN listener, whose routes choose a
//! cluster; here the routes become the invoker's targets.

use super::super::document::{Content, Node};
use super::super::finding::Finding;
use super::go;

pub(super) struct Mosn<'node> {
    pub(super) root: &'node Node,
    pub(super) server: &'node Node,
    pub(super) config: &'node Node,
}

/// The service id that stands for every other one.
const ANY: &str = "*";

impl<'node> Mosn<'node> {
    /// The invoker's component, if there is one.
    pub(super) fn convert(&self, findings: &mut Vec<Finding>) -> Vec<Node> {
        let Some(rpcs) = go::map(self.config, "rpcs", findings) else {
            return vec![];
        };
        for other in go::entries(rpcs).filter(|entry| entry.key != "mosn") {
            findings.push(other.warning(format!(
                "`{}` is never called: services are invoked through `mosn`",
                other.key
            )));
        }
        let Some(mosn) = rpcs.get("mosn").filter(|mosn| !mosn.is_null()) else {
            return vec![];
        };
        let targets = self.targets(mosn, findings).unwrap_or_default();
        if targets.is_empty() {
            return vec![];
        }
        let mut component = Node::made(mosn, Content::Map(vec![]));
        let text = |text: &str| Node::made(mosn, Content::Text(text.to_owned()));
        component.set(&["name"], text("mosn"));
        component.set(&["driver"], text("http-invoke"));
        component.set(&["ports"], Node::made(mosn, Content::List(vec![text("invoke")])));
        component.set(&["settings", "targets"], Node::made(mosn, Content::List(targets)));
        vec![component]
    }

    /// Names of the listeners that calls go through.
    pub(super) fn listener_names(&self) -> Vec<&'node str> {
        let channel = go::get(self.config, "rpcs")
            .and_then(|rpcs| rpcs.get("mosn"))
            .and_then(channel);
        channel
            .and_then(|channel| go::get(channel, "listener")?.text())
            .into_iter()
            .collect()
    }

    fn targets(&self, mosn: &'node Node, findings: &mut Vec<Finding>) -> Option<Vec<Node>> {
        let Some(channel) = channel(mosn) else {
            findings.push(mosn.error("missing channel config"));
            return None;
        };
        let config = go::get(mosn, "config")?;
        for hook in ["before_invoke", "after_invoke"] {
            if let Some(hook) = go::list(config, hook, findings).filter(|hook| !hook.items().is_empty()) {
                findings.push(hook.error(
                    "plugins around a call are not supported: the service would be called another way",
                ));
            }
        }
        let protocol = go::text(channel, "protocol", findings);
        let name = protocol.and_then(Node::text).unwrap_or_default();
        if name != "http" {
            let node = protocol.unwrap_or(channel);
            findings.push(node.error(format!(
                "services are invoked over `http`; `{name}` is not supported"
            )));
            return None;
        }
        let Some(listener) = go::text(channel, "listener", findings) else {
            findings.push(channel.error("`listener` is missing: host:port, or the name of a listener"));
            return None;
        };
        let text = listener.text().unwrap_or_default();
        if text.contains(':') {
            return Some(vec![target(ANY, text, listener)]);
        }
        self.routed(text, listener, findings)
    }

    /// The targets behind the routes of a listener.
    fn routed(&self, name: &str, node: &Node, findings: &mut Vec<Finding>) -> Option<Vec<Node>> {
        let Some(proxy) = self.proxy(name) else {
            findings.push(node.error(format!(
                "[rpc]invalid listener name: no listener `{name}` has a filter of type `proxy`"
            )));
            return None;
        };
        let router = go::get(proxy, "router_config_name")
            .and_then(Node::text)
            .unwrap_or_default();
        let routes = self.routes(router);
        let mut targets: Vec<Node> = routes
            .iter()
            .filter_map(|route| self.target(route, findings))
            .collect();
        // The first route that fits is taken.
        let mut seen = std::collections::HashSet::new();
        targets.retain(|target| seen.insert(target.get("id").and_then(Node::text).map(str::to_owned)));
        if targets.is_empty() {
            findings.push(node.error(format!("the listener `{name}` leads to no host of any cluster")));
        }
        Some(targets)
    }

    fn proxy(&self, listener: &str) -> Option<&'node Node> {
        let listener = named(go::get(self.server, "listeners")?, "name", listener)?;
        let chain = go::get(listener, "filter_chains")?.items().first()?;
        let filter = named(go::get(chain, "filters")?, "type", "proxy")?;
        go::get(filter, "config")
    }

    fn routes(&self, router: &str) -> Vec<&'node Node> {
        let config =
            go::get(self.server, "routers").and_then(|routers| named(routers, "router_config_name", router));
        let hosts = config
            .and_then(|config| go::get(config, "virtual_hosts"))
            .map_or(&[][..], Node::items);
        hosts
            .iter()
            .flat_map(|host| go::get(host, "routers").map_or(&[][..], Node::items))
            .collect()
    }

    /// A route on the header `id` is for that service; any other one is for all that have none of their own.
    fn target(&self, route: &'node Node, findings: &mut Vec<Finding>) -> Option<Node> {
        let cluster = go::get(go::get(route, "route")?, "cluster_name")?;
        let name = cluster.text()?;
        let clusters = go::get(self.root, "cluster_manager").and_then(|manager| go::get(manager, "clusters"));
        let hosts = clusters
            .and_then(|clusters| go::get(named(clusters, "name", name)?, "hosts"))
            .map_or(&[][..], Node::items);
        let Some(address) = hosts.first().and_then(|host| go::get(host, "address")) else {
            findings.push(cluster.error(format!("the cluster `{name}` has no hosts")));
            return None;
        };
        if let Some(second) = hosts.get(1) {
            findings.push(second.warning(format!("only the first host of the cluster `{name}` is called")));
        }
        let id = service_id(route).unwrap_or(ANY);
        Some(target(id, address.text()?, address))
    }
}

fn channel(mosn: &Node) -> Option<&Node> {
    go::get(go::get(mosn, "config")?, "channel")?.items().first()
}

fn service_id(route: &Node) -> Option<&str> {
    let header = named(go::get(go::get(route, "match")?, "headers")?, "name", "id")?;
    let regex = go::get(header, "regex").is_some_and(|regex| regex.content == Content::Bool(true));
    go::get(header, "value").filter(|_| !regex)?.text()
}

fn named<'node>(list: &'node Node, field: &str, name: &str) -> Option<&'node Node> {
    list.items()
        .iter()
        .find(|item| go::get(item, field).and_then(Node::text) == Some(name))
}

fn target(id: &str, address: &str, origin: &Node) -> Node {
    let mut target = Node::made(origin, Content::Map(vec![]));
    target.set(&["id"], Node::made(origin, Content::Text(id.to_owned())));
    target.set(
        &["url"],
        Node::made(origin, Content::Text(format!("http://{address}"))),
    );
    target
}
