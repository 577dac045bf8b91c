//! A part of a list, for jobs that share it.

use std::str::FromStr;

/// The `number`-th of `count` parts of a list: every `count`-th row, so that neighbours go to different jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    number: usize,
    count: usize,
}

impl Shard {
    /// Whether the row, counted from 0, belongs to this part.
    pub fn has(self, row: usize) -> bool {
        row % self.count == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((number, count)) if (1..=count).contains(&number) => Ok(Self { number, count }),
            _ => Err("expected K/N, part K of N counted from 1, such as 2/8".into()),
        }
    }
}

/// As it stands in names of files: `2-of-8`.
impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-of-{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_belongs_to_one_part() {
        let shards: Vec<Shard> = (1..=3).map(|k| format!("{k}/3").parse().unwrap()).collect();
        for row in 0..10 {
            let owners = shards.iter().filter(|shard| shard.has(row)).count();
            assert_eq!(owners, 1, "{row}");
        }
        assert!(shards[0].has(0) && shards[2].has(5));
        assert_eq!(shards[1].to_string(), "2-of-3");
    }

    #[test]
    fn parts_that_do_not_exist_are_refused() {
        for text in ["0/2", "3/2", "1/0", "1", "a/2", "1/-2", "1/2/3", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
