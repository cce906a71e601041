//! All plugins of one configuration, as one immutable whole.
//!
//! Reloading makes a new one and swaps a pointer; what is under way finishes on the old one, which lives as long as
//! anyone uses it. If anything of the new one is wrong, there is no new one, and every error is told at once.

use std::path::PathBuf;
use std::sync::Arc;

use crate::asker::Matter;
use crate::code::CodeCache;
use crate::domains::Domains;
use crate::engine::Runtime;
use crate::facts::SessionFacts;
use crate::plugin::{LoadError, Plugin, PluginConfig};
use crate::route::RouteCache;
use crate::services::Services;
use crate::session::Session;

/// What a policy is made of.
pub struct PolicyConfig {
    /// In chain order.
    pub plugins: Vec<PluginConfig>,
    /// Whose an address is.
    pub domains: Domains,
    /// Where compiled code is kept; must be private to this user. None: nowhere.
    pub code: Option<PathBuf>,
}

/// The plugins in force.
pub struct Policy {
    pub(crate) runtime: Runtime,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) domains: Domains,
    pub(crate) routes: RouteCache,
    /// Those that export `transport`, in order: they are asked whatever the listener.
    pub(crate) routers: Chain,
    plugins: Vec<Arc<Plugin>>,
}

impl Drop for Policy {
    fn drop(&mut self) {
        self.runtime.idle.forget(&self.plugins);
    }
}

/// The plugins that a listener asks, in order.
pub type Chain = Arc<[Arc<Plugin>]>;

impl Policy {
    /// Loads every plugin.
    ///
    /// # Errors
    /// All that is wrong, not just the first.
    pub async fn load(
        runtime: &Runtime,
        config: PolicyConfig,
        services: Arc<dyn Services>,
    ) -> Result<Arc<Self>, Vec<LoadError>> {
        let cache = CodeCache::open(config.code.as_deref());
        let mut plugins = Vec::new();
        let mut errors = Vec::new();
        for plugin in config.plugins {
            match Plugin::load(runtime, &cache, &services, plugin).await {
                Ok(plugin) => plugins.push(plugin),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Arc::new(Self {
            runtime: runtime.clone(),
            services,
            domains: config.domains,
            routes: RouteCache::default(),
            routers: plugins.iter().filter(|plugin| plugin.hooks.transport.is_some()).cloned().collect(),
            plugins,
        }))
    }

    /// The plugins with these names, in this order; every plugin where there are none. Unknown names are left out: the configuration
    /// was checked before.
    pub fn chain(&self, names: Option<&[String]>) -> Chain {
        let Some(names) = names else { return self.plugins.as_slice().into() };
        let named = |name: &String| self.plugins.iter().find(|plugin| plugin.name == *name).cloned();
        names.iter().filter_map(named).collect()
    }

    /// Every plugin, in order.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }

    /// Whose an address is.
    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The policy's side of one connection.
    pub fn session(self: &Arc<Self>, chain: Chain, facts: Arc<SessionFacts>) -> Session {
        let matter = Matter {
            policy: self.clone(),
            chain,
            session: Some(facts.clone()),
            envelope: None,
            services: self.services.clone(),
            story: Arc::default(),
        };
        Session::new(matter, facts)
    }
}
