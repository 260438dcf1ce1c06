//! `standfast events` and `standfast failover show`.

use std::process::ExitCode;

use standfast_api::{ClusterReply, ClusterRequest, EventStatus};

use super::{lines, request, table, unexpected};
use crate::cli::Socket;
use crate::cli::cluster::{Events, Failover, FailoverCommand, FailoverShow};
use crate::commands::{print, print_json};

pub(crate) fn events(args: &Events) -> miette::Result<ExitCode> {
    let events = read(&args.show.socket, args.after)?;
    if args.show.json {
        print_json(&events)?;
    } else {
        let mut table = table(&["number", "time (UTC)", "event"]);
        for event in &events {
            table.add_row(vec![event.sequence.to_string(), time(event.at_ms), event.text.clone()]);
        }
        print(&lines(&table))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn failover(args: &Failover) -> miette::Result<ExitCode> {
    let FailoverCommand::Show(args) = &args.command;
    let wanted = |event: &EventStatus| {
        let of_service = args.service.is_none() || event.service == args.service;
        event.service.is_some() && of_service
    };
    let events: Vec<_> =
        read(&args.show.socket, 0)?.into_iter().filter(|event| wanted(event)).collect();
    if args.show.json {
        print_json(&events)?;
    } else {
        print(&render(&events, args))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(events: &[EventStatus], args: &FailoverShow) -> String {
    if events.is_empty() {
        let of = args.service.as_ref().map(|name| format!(" of `{name}`")).unwrap_or_default();
        return format!("no change of holder{of} is known\n");
    }
    let mut text = String::new();
    for event in events {
        if event.steps.is_empty() {
            text += &format!("{}  {}\n", time(event.at_ms), event.text);
        }
        let mut before = 0;
        for (step, at) in &event.steps {
            text += &format!("    {at:>6} ms  +{:<6} {step}\n", at.saturating_sub(before));
            before = *at;
        }
    }
    text
}

fn read(socket: &Socket, after: u64) -> miette::Result<Vec<EventStatus>> {
    match request(socket, &ClusterRequest::Events { after })? {
        ClusterReply::Events { events } => Ok(events),
        other => Err(unexpected(&other)),
    }
}

/// A time of the Unix epoch as RFC 3339 writes it.
fn time(ms: u64) -> String {
    let (seconds, rest) = (ms / 1000, ms % 1000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{rest:03}")
}

/// The Gregorian date of a day since 1970-01-01. Years are counted from March here, so that the leap
/// day is the last of its year; 400 years have 146097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00.000"),
            (951_782_400_000, "2000-02-29 00:00:00.000"),
            (1_735_689_599_999, "2024-12-31 23:59:59.999"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000"),
        ] {
            assert_eq!(time(ms), text);
        }
    }
}
