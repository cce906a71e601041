//! How each hook is asked, and what its checked answer means: one file for each.

pub(crate) mod alias;
pub(crate) mod authenticate;
pub(crate) mod content;
pub(crate) mod delivery;
pub(crate) mod expansion;
pub(crate) mod list;
pub(crate) mod restriction;
pub(crate) mod route_cache;
pub(crate) mod transport;
