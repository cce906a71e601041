//! aliases(5): `name: value`, the name quoted where it needs to be. The value stays as it is: who
//! asks parses it, and leaves out what can't be understood, of which this warns.

use facteur_targets::Blanks;

use super::index::Index;
use super::lines::{Remarks, logical_lines, split_unquoted};
use super::texthash::insert;

pub(super) fn parse(bytes: &[u8], remarks: &mut Remarks) -> Index {
    let mut index = Index::new();
    logical_lines(bytes, remarks, |remarks, line, text| {
        let Ok((name, rest)) = split_unquoted(text, |c| c == ':') else {
            return remarks.fault(line, "a quotation mark isn't closed");
        };
        let Some(value) = rest.map(|rest| rest[1..].trim()) else {
            return remarks.fault(line, "there is no colon: write `name: value`");
        };
        let name = name.trim();
        if name.is_empty() || name == "\"\"" {
            return remarks.fault(line, "there is no name before the colon");
        }
        if value.is_empty() {
            return remarks.fault(
                line,
                format!("\"{name}\" has no value: write whom it stands for after the colon"),
            );
        }
        for wrong in
            facteur_targets::parse(value, Blanks::Part).iter().filter_map(|it| it.as_ref().err())
        {
            remarks.warning(line, format!("\"{name}\" stands for one thing less: {wrong}"));
        }
        insert(&mut index, remarks, line, name, value);
    });
    index.shrink();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_postalias_reads_it() {
        let mut remarks = Remarks::default();
        let text = b"postmaster:\troot\nPrenom.Nom: louen\nbureau:\tpresident, \
         tresorier,\n\tsecretaire@student.ecp.fr\n\
            tresorier : \"|/usr/local/bin/ticket\"\n\"jean: du bde\": louen\nannonces: \
            :include:/etc/mail/annonces.list\n";
        let index = parse(text, &mut remarks);
        assert!(remarks.faults.is_empty() && remarks.warnings.is_empty(), "{remarks:?}");
        assert_eq!(index.get("prenom.nom"), Some("louen"));
        assert_eq!(index.get("bureau"), Some("president, tresorier,\tsecretaire@student.ecp.fr"));
        assert_eq!(index.get("tresorier"), Some("\"|/usr/local/bin/ticket\""));
        assert_eq!(index.get("jean: du bde"), Some("louen"));
        assert_eq!(index.get("annonces"), Some(":include:/etc/mail/annonces.list"));
    }

    #[test]
    fn a_target_that_is_none_is_told_with_its_line() {
        let mut remarks = Remarks::default();
        let text = b"a: b\nteam: alice@, Bob <bob@x.test>; carol@x.test (Carol)\n";
        parse(text, &mut remarks);
        let warnings: Vec<_> =
            remarks.warnings.iter().map(|one| (one.line, one.reason.as_str())).collect();
        assert_eq!(warnings, [(2, "\"team\" stands for one thing less: not an address: alice@")]);
    }

    #[test]
    fn what_is_no_alias_breaks_the_table() {
        let mut remarks = Remarks::default();
        parse(b"root louen\n: louen\nroot:\n\"root: x\n", &mut remarks);
        assert_eq!(remarks.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
