//! What an operator does with the program: start and stop it, load it anew, look into it.

pub mod admin;
pub mod descriptors;
pub mod plugins;
pub mod serve;
