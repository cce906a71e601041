//! What an operator does with the program: start and stop it, load it anew, look into it.

pub mod admin;
pub mod answer;
pub mod client;
pub mod descriptors;
pub mod plugins;
pub mod protocol;
pub mod reload;
pub mod serve;
