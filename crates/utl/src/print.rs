//! etcdutl's output formats.

use crate::Result;
use ctl::{Failure, go};

/// `--write-out`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Simple,
    Json,
    Fields,
    Protobuf,
    Table,
}

/// What there is to say.
pub enum Report<'a> {
    Status(&'a backup::Status),
    HashKv(&'a mvcc::HashKv),
}

impl Format {
    pub fn parse(text: &str) -> Result<Format> {
        match text {
            "simple" => Ok(Format::Simple),
            "json" => Ok(Format::Json),
            "fields" => Ok(Format::Fields),
            "protobuf" => Ok(Format::Protobuf),
            "table" => Ok(Format::Table),
            _ => Err(Failure::feature("unsupported output format")),
        }
    }

    /// The text for the standard output.
    pub fn render(self, report: &Report<'_>) -> Result<Vec<u8>> {
        let (titles, row) = report.row();
        let text = match self {
            Format::Simple => format!("{}\n", row.join(", ")),
            Format::Table => go::table(titles, &[row]),
            Format::Fields => report.fields(),
            Format::Json => report.json(),
            Format::Protobuf => return Err(Failure::feature("protobuf not supported as output format")),
        };
        Ok(text.into_bytes())
    }
}

impl Report<'_> {
    fn row(&self) -> (&'static [&'static str], Vec<String>) {
        match self {
            Report::Status(status) => (
                &["hash", "revision", "total keys", "total size", "version"],
                vec![
                    format!("{:x}", status.hash),
                    status.revision.to_string(),
                    status.keys.to_string(),
                    go::bytes(status.bytes),
                    status.version.clone(),
                ],
            ),
            Report::HashKv(hash) => (
                &["hash", "hash revision", "compact revision"],
                vec![
                    hash.hash.to_string(),
                    hash.hash_revision.0.to_string(),
                    hash.compact_revision.0.to_string(),
                ],
            ),
        }
    }

    fn fields(&self) -> String {
        match self {
            Report::Status(status) => format!(
                "\"Hash\" : {}\n\"Revision\" : {}\n\"Keys\" : {}\n\"Size\" : {}\n\"Version\" : {}\n",
                status.hash, status.revision, status.keys, status.bytes, status.version
            ),
            Report::HashKv(hash) => format!(
                "\"Hash\" : {}\n\"Hash revision\" : {}\n\"Compact revision\" : {}\n",
                hash.hash, hash.hash_revision.0, hash.compact_revision.0
            ),
        }
    }

    fn json(&self) -> String {
        match self {
            Report::Status(status) => format!(
                "{{\"hash\":{},\"revision\":{},\"totalKey\":{},\"totalSize\":{},\"version\":{}}}\n",
                status.hash,
                status.revision,
                status.keys,
                status.bytes,
                go::json_string(&status.version)
            ),
            Report::HashKv(hash) => format!(
                "{{\"hash\":{},\"hashRevision\":{},\"compactRevision\":{}}}\n",
                hash.hash, hash.hash_revision.0, hash.compact_revision.0
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Revision;

    #[test]
    fn each_format_has_etcdutls_form() {
        let status = backup::Status {
            hash: 3_021_994_441,
            revision: 43,
            keys: 28,
            bytes: 73_728,
            version: "3.7.0".into(),
        };
        let hash = mvcc::HashKv {
            hash: 3_495_323_524,
            hash_revision: Revision(43),
            compact_revision: Revision(25),
        };
        let show = |format: Format, report| String::from_utf8(format.render(&report).unwrap()).unwrap();
        assert_eq!(
            show(Format::Simple, Report::Status(&status)),
            "b41ff9c9, 43, 28, 74 kB, 3.7.0\n"
        );
        assert_eq!(
            show(Format::Json, Report::Status(&status)),
            "{\"hash\":3021994441,\"revision\":43,\"totalKey\":28,\"totalSize\":73728,\"version\":\"3.7.0\"}\n"
        );
        assert_eq!(
            show(Format::Fields, Report::Status(&status)),
            "\"Hash\" : 3021994441\n\"Revision\" : 43\n\"Keys\" : 28\n\"Size\" : 73728\n\"Version\" : 3.7.0\n"
        );
        assert!(
            show(Format::Table, Report::Status(&status))
                .contains("│   HASH   │ REVISION │ TOTAL KEYS │ TOTAL SIZE │ VERSION │")
        );
        assert_eq!(
            show(Format::Simple, Report::HashKv(&hash)),
            "3495323524, 43, 25\n"
        );
        assert_eq!(
            show(Format::Json, Report::HashKv(&hash)),
            "{\"hash\":3495323524,\"hashRevision\":43,\"compactRevision\":25}\n"
        );
        assert_eq!(
            Format::Protobuf.render(&Report::HashKv(&hash)).unwrap_err().code,
            4
        );
    }
}
