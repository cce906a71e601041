//! All plugins of one configuration, as one immutable whole.
//!
//! Reloading makes a new one and swaps a pointer; what is under way finishes on the old one, which
//! lives as long as anyone uses it. If anything of the new one is wrong, there is no new one, and
//! every error is told at once.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use crate::contract::context::Runtime;
use crate::contract::exports::HookName;
use crate::domains::Domains;
use crate::hooks::route_cache::RouteCache;
use crate::memo::Memos;
use crate::plugin::{Chain, LoadError, Plugin, PluginConfig};
use crate::runtime::compile_cache::CompileCache;
use crate::services::Services;
use crate::trace::Facts;

/// What a policy is made of.
pub struct PolicyConfig {
    /// In chain order.
    pub plugins: Vec<PluginConfig>,
    /// Whose an address is.
    pub domains: Domains,
    /// What is remembered of answers; of the process, not of this configuration.
    pub memos: Arc<Memos>,
    /// Whose questions the facts are told of.
    pub facts: Facts,
    /// Where compiled code is kept; must be private to this user. None: nowhere.
    pub code: Option<PathBuf>,
}

/// The plugins in force.
pub struct Policy {
    pub(crate) runtime: Runtime,
    pub(crate) services: Arc<Services>,
    pub(crate) domains: Arc<Domains>,
    pub(crate) facts: Facts,
    pub(crate) routes: RouteCache,
    /// Those that export `transport`, in order: they are asked whatever the listener.
    pub(crate) routers: Chain,
    /// Those that export `delivery`, in order: they are asked whatever the listener.
    pub(crate) advisers: Chain,
    plugins: Vec<Arc<Plugin>>,
    /// Whether any plugin is asked in some sessions only.
    drawing: bool,
}

impl Drop for Policy {
    fn drop(&mut self) {
        for plugin in &self.plugins {
            self.runtime.forget(&plugin.guest);
        }
    }
}

impl Policy {
    /// Loads every plugin. This reads, writes and computes for as long as compiling takes: where
    /// anything else goes on, it belongs on a thread of its own.
    ///
    /// # Errors
    /// All that is wrong, not just the first.
    pub async fn load(
        runtime: &Runtime,
        config: PolicyConfig,
        services: Services,
    ) -> Result<Arc<Self>, Vec<LoadError>> {
        let services = Arc::new(services);
        let domains = Arc::new(config.domains);
        let cache = CompileCache::open(config.code.as_deref());
        let mut plugins = Vec::new();
        let mut errors = Vec::new();
        for plugin in config.plugins {
            match Plugin::load(runtime, &cache, &services, &domains, &config.memos, plugin).await {
                Ok(plugin) => plugins.push(plugin),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        cache.prune();
        config.memos.share();
        Ok(Arc::new(Self {
            runtime: runtime.clone(),
            services,
            domains,
            facts: config.facts,
            routes: RouteCache::default(),
            routers: standing(&plugins)
                .filter(|plugin| plugin.wants(HookName::Transport))
                .cloned()
                .collect(),
            advisers: standing(&plugins)
                .filter(|plugin| plugin.wants(HookName::Delivery))
                .cloned()
                .collect(),
            drawing: plugins.iter().any(|plugin| plugin.share < 100 || plugin.instead_of.is_some()),
            plugins,
        }))
    }

    /// The plugins with these names, in this order; every plugin where there are none. Unknown
    /// names are left out: the configuration was checked before.
    pub fn chain(&self, names: Option<&[String]>) -> Chain {
        let Some(names) = names else { return standing(&self.plugins).cloned().collect() };
        let named =
            |name: &String| standing(&self.plugins).find(|plugin| plugin.name() == *name).cloned();
        names.iter().filter_map(named).collect()
    }

    /// Whether any plugin is asked in some sessions only.
    pub(crate) fn is_drawing(&self) -> bool {
        self.drawing
    }

    /// The plugins of the chain that are asked in the session, or about the recipient, with this
    /// name: a candidate in the place of the version in force where it is drawn, and nobody in the
    /// place of one that isn't.
    pub(crate) fn draw(&self, chain: &Chain, name: &impl Display) -> Chain {
        if !self.drawing {
            return chain.clone();
        }
        let name = &name.to_string();
        let drawn = |plugin: &Arc<Plugin>| {
            let candidate = self.plugins.iter().find(|candidate| {
                candidate.instead_of.as_deref() == Some(plugin.name()) && candidate.is_drawn(name)
            });
            candidate.or_else(|| plugin.is_drawn(name).then_some(plugin)).cloned()
        };
        chain.iter().filter_map(drawn).collect()
    }

    /// Every plugin, in order.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// What the plugins are lent.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Whose an address is.
    pub fn domains(&self) -> &Domains {
        &self.domains
    }
}

/// Those that have a place of their own.
fn standing(plugins: &[Arc<Plugin>]) -> impl Iterator<Item = &Arc<Plugin>> {
    plugins.iter().filter(|plugin| plugin.instead_of.is_none())
}
