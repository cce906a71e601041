//! The settings: words for each hook.

use std::collections::BTreeMap;

use facteur_plugin::settings::Hook;
use serde::{Deserialize, Serialize};

/// One word or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::One(word) => vec![word],
            Words::Several(words) => words,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Written {
    init: String,
    connect: Words,
    helo: Words,
    mail: Words,
    rcpt: Words,
    data: Words,
    end_of_data: Words,
    content: Words,
    alias: BTreeMap<String, Words>,
    owner: BTreeMap<String, String>,
    transport: BTreeMap<String, String>,
    delivery: BTreeMap<String, String>,
    authenticate: BTreeMap<String, String>,
}

/// As they are kept.
#[derive(Serialize, Deserialize)]
pub struct Settings {
    /// What `init` does.
    pub init: String,
    pub connect: Vec<String>,
    pub helo: Vec<String>,
    pub mail: Vec<String>,
    pub rcpt: Vec<String>,
    pub data: Vec<String>,
    pub end_of_data: Vec<String>,
    pub content: Vec<String>,
    /// By address: what it stands for.
    pub alias: BTreeMap<String, Vec<String>>,
    /// By address: whose bounces are theirs.
    pub owner: BTreeMap<String, String>,
    /// By domain: where it goes.
    pub transport: BTreeMap<String, String>,
    /// By address: what follows from an attempt.
    pub delivery: BTreeMap<String, String>,
    /// By name or token: who it is.
    pub authenticate: BTreeMap<String, String>,
}

impl Settings {
    /// From the host.
    pub fn read() -> Result<Self, String> {
        let written: Written = facteur_plugin::settings::read()?;
        Ok(Self {
            init: written.init,
            connect: written.connect.into(),
            helo: written.helo.into(),
            mail: written.mail.into(),
            rcpt: written.rcpt.into(),
            data: written.data.into(),
            end_of_data: written.end_of_data.into(),
            content: written.content.into(),
            alias: written
                .alias
                .into_iter()
                .map(|(address, words)| (address, words.into()))
                .collect(),
            owner: written.owner,
            transport: written.transport,
            delivery: written.delivery,
            authenticate: written.authenticate,
        })
    }

    /// The stages that have no words.
    pub fn idle(&self) -> impl Iterator<Item = Hook> {
        let stages = [
            (Hook::OnConnect, &self.connect),
            (Hook::OnHelo, &self.helo),
            (Hook::OnMail, &self.mail),
            (Hook::OnRcpt, &self.rcpt),
            (Hook::OnData, &self.data),
            (Hook::OnEndOfData, &self.end_of_data),
        ];
        stages.into_iter().filter(|(_, words)| words.is_empty()).map(|(hook, _)| hook)
    }
}
