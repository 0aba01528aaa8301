//! Unique keys: the id a producer gives a message before it is stored.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU16, Ordering};

use crate::time::UnixMillis;

/// Makes unique keys in Java's layout, from any number of tasks at once.
///
/// `address (4 or 16) | pid i16 | nonce i32 | milliseconds since the month began i32 | counter i16`, in upper-case
/// hexadecimal: tools read address, pid and time from it. The nonce stands where Java has the hash of a class
/// loader and tells apart processes of equal address and pid, as containers have.
#[derive(Debug)]
pub struct UniqueKeys {
    /// Address, pid and nonce, in hexadecimal.
    prefix: Vec<u8>,
    counter: AtomicU16,
}

impl UniqueKeys {
    /// Keys of this process.
    #[must_use]
    pub fn new(ip: IpAddr, pid: u32, nonce: u32) -> Self {
        let mut prefix = Vec::with_capacity(V6_LEN);
        match ip {
            IpAddr::V4(ip) => push_hex(&ip.octets(), &mut prefix),
            IpAddr::V6(ip) => push_hex(&ip.octets(), &mut prefix),
        }
        let [_, _, high, low] = pid.to_be_bytes();
        push_hex(&[high, low], &mut prefix);
        push_hex(&nonce.to_be_bytes(), &mut prefix);
        Self { prefix, counter: AtomicU16::new(0) }
    }

    /// The next key; at most 65,536 in one millisecond are unique.
    #[must_use]
    pub fn next(&self, wall: UnixMillis) -> String {
        self.list(wall, 1).text
    }

    /// The next keys, for the messages of a batch.
    #[must_use]
    pub fn list(&self, wall: UnixMillis, count: usize) -> UniqueKeyList {
        // The counter wraps, and so does what is added to it.
        let mut counter = self.counter.fetch_add(u16::try_from(count & 0xffff).unwrap_or(0), Ordering::Relaxed);
        let [.., a, b, c, d] = wall.0.saturating_sub(month_start(wall)).to_be_bytes();
        let each = self.prefix.len().saturating_add(TAIL_LEN);
        let mut head = Vec::with_capacity(each);
        head.extend_from_slice(&self.prefix);
        push_hex(&[a, b, c, d], &mut head);
        let mut text = Vec::with_capacity(count.saturating_mul(each));
        for _ in 0..count {
            text.extend_from_slice(&head);
            push_hex(&counter.to_be_bytes(), &mut text);
            counter = counter.wrapping_add(1);
        }
        UniqueKeyList { text: String::from_utf8(text).unwrap_or_default(), each }
    }
}

/// Keys of one process and time, as the messages of a batch have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UniqueKeyList {
    /// One behind the other.
    text: String,
    /// Characters of each.
    each: usize,
}

impl UniqueKeyList {
    /// The key with this number, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let start = index.checked_mul(self.each)?;
        self.text.get(start..start.checked_add(self.each)?)
    }

    /// All keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len().checked_div(self.each).unwrap_or(0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// When the month of this time began (UTC), Unix milliseconds.
fn month_start(wall: UnixMillis) -> i64 {
    let day = wall.0.div_euclid(DAY_MILLIS);
    day.saturating_sub(day_of_month(day)).saturating_mul(DAY_MILLIS)
}

/// The day of the month, from 0, of a day counted from 1970-01-01 (proleptic Gregorian calendar).
///
/// The year is taken to begin in March, so that the leap day is its last; months then follow the pattern of
/// 153 days in five months, and eras of 400 years repeat.
#[allow(clippy::arithmetic_side_effects, reason = "a day is within ±2^37: it comes from 64-bit milliseconds")]
const fn day_of_month(day: i64) -> i64 {
    let day_of_era = (day + DAYS_TO_1970).rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5
}

fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 0xf)]);
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    let base = if nibble < 10 { b'0' } else { b'A'.wrapping_sub(10) };
    base.wrapping_add(nibble)
}

const DAY_MILLIS: i64 = 86_400_000;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// Days in 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// Characters of a key with an IPv6 address.
const V6_LEN: usize = 56;
/// Characters of a key behind address, pid and nonce.
const TAIL_LEN: usize = 12;

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[test]
    fn keys_have_javas_layout() {
        let keys = UniqueKeys::new("127.0.0.1".parse().unwrap(), 0x1_2345, 0xDEAD_BEEF);
        // 2024-03-02 00:00:00.255 UTC: one day into the month.
        let wall = UnixMillis(1_709_337_600_255);
        assert_eq!(keys.next(wall), "7F0000012345DEADBEEF05265CFF0000");
        assert_eq!(keys.next(wall), "7F0000012345DEADBEEF05265CFF0001");
        let keys = UniqueKeys::new("::1".parse().unwrap(), 1, 2);
        assert_eq!(keys.next(wall), "0000000000000000000000000000000100010000000205265CFF0000");
    }

    #[test]
    fn a_list_has_the_keys_that_would_come_one_by_one() {
        let [one, list] = [(); 2].map(|()| UniqueKeys::new("10.0.0.1".parse().unwrap(), 1, 1));
        let wall = UnixMillis(1_700_000_000_000);
        for count in [0, 1, 3, 65_535, 2] {
            let keys: Vec<_> = (0..count).map(|_| one.next(wall)).collect();
            let found = list.list(wall, count);
            assert_eq!((found.len(), found.is_empty(), found.get(count)), (count, count == 0, None));
            assert!(found.iter().eq(keys.iter()));
        }
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        // 1970-01-01, 1970-01-31, 1970-02-01, 2000-02-29, 2000-03-01, 2023-12-31, 2100-03-01, 1969-12-31.
        let days = [0, 30, 31, 11_016, 11_017, 19_722, 47_541, -1];
        assert_eq!(days.map(day_of_month), [0, 30, 0, 28, 0, 30, 0, 30]);
    }

    #[test]
    fn keys_of_one_millisecond_differ() {
        let keys = UniqueKeys::new("10.0.0.1".parse().unwrap(), 1, 1);
        let made: BTreeSet<_> = (0..65_536).map(|_| keys.next(UnixMillis(1_700_000_000_000))).collect();
        assert_eq!(made.len(), 65_536);
    }

    /// In the same millisecond, with the same counters: pids differ on a host, nonces where addresses and pids are equal,
    /// as in containers.
    #[test]
    fn keys_of_two_processes_differ() {
        let wall = UnixMillis(1_700_000_000_000);
        let keys = |pid, nonce| {
            let keys = UniqueKeys::new("10.0.0.1".parse().unwrap(), pid, nonce);
            (0..65_536).map(|_| keys.next(wall)).collect::<BTreeSet<_>>()
        };
        let first = keys(1, 1);
        for (pid, nonce) in [(2, 1), (1, 2), (2, 2), (1 << 15, 1), (1, 1 << 31)] {
            assert!(first.is_disjoint(&keys(pid, nonce)), "{pid} {nonce}");
        }
    }

    proptest! {
        #[test]
        fn any_time_makes_a_key(ip: IpAddr, pid: u32, nonce: u32, wall: i64) {
            let key = UniqueKeys::new(ip, pid, nonce).next(UnixMillis(wall));
            prop_assert_eq!(key.len(), if ip.is_ipv6() { 56 } else { 32 });
            prop_assert!(key.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)));
        }

        #[test]
        fn every_month_begins_on_its_first_day(day in -1_000_000_i64..1_000_000) {
            let start = day - day_of_month(day);
            prop_assert_eq!(day_of_month(start), 0);
            prop_assert!((27..=30).contains(&day_of_month(start - 1)));
        }
    }
}
