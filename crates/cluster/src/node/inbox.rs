//! What a datagram means.

use super::{Node, Output};
use crate::heartbeat::{Datagram, Echo, Moment, Notice, Report, Word};
use crate::lease::{Claims, Holder, NodeId};

impl Node {
    /// Takes a datagram that is genuine. Repetitions, and what is not for this node, go unheard.
    pub(super) fn take(&mut self, datagram: &Datagram, now: Moment, out: &mut Vec<Output>) {
        let is_for_me = datagram.to == self.me.node && datagram.from != self.me.node;
        let Datagram { from, incarnation, link, sequence, .. } = *datagram;
        if !is_for_me || !self.detector.is_new(from, incarnation, link, sequence) {
            return;
        }
        // Only what names this run of ours was surely sent after it began, so nothing else counts:
        // not the sign of life, not the run, not what it says.
        let knows_us = datagram
            .echo
            .filter(|echo| echo.incarnation == self.me.incarnation)
            .and_then(|echo| Some((echo, self.rounds.sent(echo.sequence)?)));
        if let Some((echo, sent)) = knows_us {
            self.hear(datagram, (echo, sent), now, out);
        }
        if !datagram.is_answer {
            self.rounds.note(from, Echo { incarnation, link, sequence });
            self.answer(datagram, knows_us.is_some(), now, out);
        }
    }

    /// What the sender says of itself.
    fn hear(
        &mut self,
        datagram: &Datagram,
        (echo, sent): (Echo, Moment),
        now: Moment,
        out: &mut Vec<Output>,
    ) {
        let from = datagram.from;
        let notices = self.detector.heard(
            from,
            datagram.incarnation,
            (datagram.link, datagram.sequence),
            (echo.link, Some(sent)),
            datagram.is_answer,
            now,
        );
        if notices.iter().any(|notice| matches!(notice, Notice::Restarted(..))) {
            self.reports.remove(&from);
        }
        if !notices.is_empty() || self.reports(from) != datagram.reports {
            self.next_look = now;
            self.reports.insert(from, datagram.reports.clone());
        }
        out.extend(notices.into_iter().map(Output::Notice));
        if !datagram.is_answer {
            return;
        }
        if let Some(leading) = &mut self.leading
            && datagram.endorsed
            && datagram.term == leading.lessor.term()
        {
            leading.lessor.supported(from, sent, datagram.older_age, now);
        }
        self.obey(&datagram.word, sent, now);
    }

    /// What a leader's answer brings. It needs no check whether the sender still leads: a renewal of
    /// an earlier leader is as old as it says.
    fn obey(&mut self, word: &Word, sent: Moment, now: Moment) {
        if let Some(renewal) = &word.renewal {
            let pending = self.tenant.claims().pending;
            self.tenant.renewed(sent, renewal, now);
            self.urgent |= self.tenant.claims().pending != pending;
        }
        for (service, epoch) in &word.release {
            if let Some(agent) = self.agents.get_mut(service) {
                agent.order_release(*epoch, now);
            }
        }
    }

    /// Answers a heartbeat over the link that it came by.
    fn answer(&mut self, datagram: &Datagram, knows_us: bool, now: Moment, out: &mut Vec<Output>) {
        let asker = Holder { node: datagram.from, incarnation: datagram.incarnation };
        let asks_for_support = datagram.leader == Some(asker.node);
        let endorsed = asks_for_support && self.support.lock().endorse(datagram.term, now);
        let sequence = self.rounds.number();
        let answer = Datagram {
            link: datagram.link,
            sequence,
            is_answer: true,
            echo: Some(Echo {
                incarnation: asker.incarnation,
                link: datagram.link,
                sequence: datagram.sequence,
            }),
            endorsed,
            ..self.draft(asker.node, now)
        };
        let word = if knows_us { self.word(asker, datagram, now) } else { Word::default() };
        out.push(Output::Send(Datagram { word, ..answer }));
    }

    /// What this node, if it leads, has for a holder.
    fn word(&mut self, asker: Holder, datagram: &Datagram, now: Moment) -> Word {
        self.serve_myself(now);
        let Some(leading) = &mut self.leading else { return Word::default() };
        let claims = claims(datagram);
        let release = leading.release.get(&asker.node).cloned().unwrap_or_default();
        Word { renewal: leading.lessor.renew(asker, &claims, now), release }
    }

    /// What a node says of services.
    pub fn reports(&self, node: NodeId) -> &[(crate::lease::ServiceId, Report)] {
        self.reports.get(&node).map_or(&[], Vec::as_slice)
    }
}

fn claims(datagram: &Datagram) -> Claims {
    let pending = datagram.reports.iter().filter_map(|(service, report)| match report {
        Report::Pending(_) => Some(*service),
        _ => None,
    });
    Claims { basis: datagram.revision, pending: pending.collect(), complete: datagram.complete }
}
