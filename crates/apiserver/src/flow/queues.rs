//! The queues of one level, and whose turn it is: fair queuing by virtual time.
//! Source: KEP-1040, "Fair Queuing for Server Requests"; upstream's `queueset` with requests of one seat.

use std::collections::VecDeque;
use std::time::Duration;

use super::dealer::Dealer;

/// How long a request is taken to last until it is known, in seconds.
const GUESS: f64 = 0.003;

/// How many may wait where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many queues there are; with none, nobody waits.
    pub(super) queues: usize,
    /// How many of them one flow may use.
    pub(super) hand: usize,
    /// How many requests wait in each.
    pub(super) length_max: usize,
}

/// What becomes of a request that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It has a seat, and counts for this queue.
    Seated(Option<usize>),
    /// It waits in a queue, under a number of its own.
    Waits(usize, u64),
    /// There is no seat, and no place to wait.
    Full,
}

/// The seats and queues of a level. `T` is what waits. Times are since one start, and never go back.
pub(super) struct Queues<T> {
    shape: Shape,
    /// More than the shape says as long as the surplus ones are in use.
    queues: Vec<Queue<T>>,
    seats: usize,
    seated: usize,
    waiting: usize,
    /// How many queues have requests, waiting or seated.
    active: usize,
    /// Virtual time, in seconds: it goes on as fast as each active queue is served.
    virtual_time: f64,
    at: Duration,
    arrivals: usize,
    /// The queue that had its turn last.
    turn: usize,
}

struct Queue<T> {
    waiting: VecDeque<Waiter<T>>,
    seated: usize,
    /// When, in virtual time, its next request begins.
    start: f64,
}

struct Waiter<T> {
    number: u64,
    /// In virtual time.
    arrived: f64,
    what: T,
}

impl<T> Queue<T> {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.seated == 0
    }

    /// What waits doesn't begin before it has come: a queue that can't use its share doesn't save it up.
    fn bound(&mut self) {
        if let Some(oldest) = self.waiting.front() {
            self.start = self.start.max(oldest.arrived);
        }
    }
}

impl<T> Queues<T> {
    pub(super) fn new(shape: Shape, seats: usize) -> Queues<T> {
        let mut queues = Queues {
            shape,
            queues: Vec::new(),
            seats,
            seated: 0,
            waiting: 0,
            active: 0,
            virtual_time: 0.0,
            at: Duration::ZERO,
            arrivals: 0,
            turn: 0,
        };
        queues.reshape(shape);
        queues
    }

    /// Other queues from now on. What waits in those that are gone keeps its place.
    pub(super) fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
        if self.queues.len() < shape.queues {
            self.queues.resize_with(shape.queues, || Queue {
                waiting: VecDeque::new(),
                seated: 0,
                start: 0.0,
            });
        }
        self.trim();
    }

    /// Another number of seats from now on; nobody loses theirs.
    pub(super) fn set_seats(&mut self, now: Duration, seats: usize) {
        self.advance(now);
        self.seats = seats;
    }

    /// Whether requests may wait.
    pub(super) fn has_queues(&self) -> bool {
        self.shape.queues > 0
    }

    /// How many requests have a seat or wait for one.
    pub(super) fn demand(&self) -> usize {
        self.seated + self.waiting
    }

    fn trim(&mut self) {
        while self.queues.len() > self.shape.queues && self.queues.last().is_some_and(Queue::is_idle) {
            self.queues.pop();
        }
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        if self.active > 0 {
            let served = self.demand().min(self.seats);
            self.virtual_time += passed * served as f64 / self.active as f64;
        }
    }

    /// A request comes. `number` and `what` are kept if it has to wait.
    pub(super) fn arrive(
        &mut self,
        now: Duration,
        hash: u64,
        number: u64,
        what: impl FnOnce() -> T,
    ) -> Arrival {
        self.advance(now);
        if self.shape.queues == 0 {
            // A level without a share lets its requests in one by one.
            if self.seated >= self.seats.max(1) {
                return Arrival::Full;
            }
            self.seated += 1;
            return Arrival::Seated(None);
        }
        let chosen = self.choose(hash);
        let room = self.seated < self.seats && self.waiting == 0;
        let virtual_time = self.virtual_time;
        let queue = &mut self.queues[chosen];
        if !room && queue.waiting.len() >= self.shape.length_max {
            return Arrival::Full;
        }
        if queue.is_idle() {
            queue.start = virtual_time;
            self.active += 1;
        }
        if room {
            queue.seated += 1;
            queue.start += GUESS;
            self.seated += 1;
            return Arrival::Seated(Some(chosen));
        }
        queue.waiting.push_back(Waiter { number, arrived: virtual_time, what: what() });
        queue.bound();
        self.waiting += 1;
        Arrival::Waits(chosen, number)
    }

    /// The queue of the flow's hand in which the fewest wait. Each time the looking begins with another one.
    fn choose(&mut self, hash: u64) -> usize {
        let hand = Dealer::new(self.shape.queues, self.shape.hand).deal(hash);
        let cards = hand.cards();
        let first = self.arrivals % cards.len();
        self.arrivals = self.arrivals.wrapping_add(1);
        let turned = cards[first..].iter().chain(&cards[..first]);
        turned.copied().min_by_key(|&card| self.queues[card].waiting.len()).unwrap_or(0)
    }

    /// A request gives its seat back after `took`; `queue` is the one that it counted for.
    pub(super) fn finish(&mut self, now: Duration, queue: Option<usize>, took: Duration) {
        self.advance(now);
        self.seated -= 1;
        let Some(at) = queue else { return };
        let queue = &mut self.queues[at];
        queue.seated -= 1;
        queue.start += took.as_secs_f64() - GUESS;
        queue.bound();
        if queue.is_idle() {
            self.active -= 1;
        }
        self.trim();
    }

    /// Gives a free seat to the request whose turn it is. To be called until there is none, after whatever may have
    /// made a seat free.
    pub(super) fn next(&mut self, now: Duration) -> Option<T> {
        if self.waiting == 0 || self.seated >= self.seats {
            return None;
        }
        self.advance(now);
        let count = self.queues.len();
        // Of those with the same time the one after the last one served comes first.
        let turned = (1..=count).map(|step| (self.turn + step) % count);
        let waiting = turned.filter(|&at| !self.queues[at].waiting.is_empty());
        let next = waiting.min_by(|&a, &b| self.queues[a].start.total_cmp(&self.queues[b].start))?;
        self.turn = next;
        let queue = &mut self.queues[next];
        let waiter = queue.waiting.pop_front()?;
        queue.seated += 1;
        queue.start += GUESS;
        queue.bound();
        self.waiting -= 1;
        self.seated += 1;
        Some(waiter.what)
    }

    /// Takes a request out of its queue, if it still waits there.
    pub(super) fn leave(&mut self, now: Duration, queue: usize, number: u64) -> Option<T> {
        self.advance(now);
        let queue = self.queues.get_mut(queue)?;
        let at = queue.waiting.iter().position(|waiter| waiter.number == number)?;
        let waiter = queue.waiting.remove(at)?;
        queue.bound();
        self.waiting -= 1;
        if queue.is_idle() {
            self.active -= 1;
        }
        self.trim();
        Some(waiter.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPE: Shape = Shape { queues: 8, hand: 1, length_max: 100 };

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// One queue a flow: the hash is the queue.
    fn seated(arrival: Arrival) -> usize {
        match arrival {
            Arrival::Seated(Some(queue)) => queue,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flows_take_turns_however_many_wait() {
        let mut queues = Queues::new(SHAPE, 1);
        let first = seated(queues.arrive(ms(0), 0, 0, || "flood"));
        for number in 1..20 {
            assert_eq!(queues.arrive(ms(0), 0, number, || "flood"), Arrival::Waits(0, number));
        }
        queues.arrive(ms(0), 1, 20, || "quiet");
        queues.arrive(ms(0), 1, 21, || "quiet");
        let (mut now, mut queue, mut order) = (ms(0), first, Vec::new());
        for _ in 0..6 {
            now += ms(10);
            queues.finish(now, Some(queue), ms(10));
            let who = queues.next(now).unwrap();
            queue = usize::from(who == "quiet");
            order.push(who);
        }
        assert_eq!(order, ["quiet", "flood", "quiet", "flood", "flood", "flood"]);
    }

    #[test]
    fn who_takes_longer_gets_fewer_turns() {
        let mut queues = Queues::new(SHAPE, 1);
        let mut queue = seated(queues.arrive(ms(0), 7, 0, || 7));
        for number in 0..100 {
            queues.arrive(ms(0), number % 2, number, || (number % 2) as usize);
        }
        let (mut now, mut served) = (ms(0), [0, 0]);
        let mut took = ms(1);
        for _ in 0..40 {
            now += took;
            queues.finish(now, Some(queue), took);
            queue = queues.next(now).unwrap();
            served[queue] += 1;
            // The requests of the second flow last four times as long.
            took = ms(if queue == 0 { 10 } else { 40 });
        }
        assert!((30..=34).contains(&served[0]), "{served:?}");
    }

    #[test]
    fn who_was_away_has_saved_nothing_up() {
        let mut queues = Queues::new(SHAPE, 1);
        let mut queue = seated(queues.arrive(ms(0), 0, 0, || 0));
        for number in 1..10 {
            queues.arrive(ms(0), 0, number, || 0);
        }
        let mut now = ms(0);
        for _ in 0..5 {
            now += ms(100);
            queues.finish(now, Some(queue), ms(100));
            queue = queues.next(now).unwrap();
        }
        for number in 20..30 {
            queues.arrive(now, 1, number, || 1);
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            now += ms(100);
            queues.finish(now, Some(queue), ms(100));
            queue = queues.next(now).unwrap();
            order.push(queue);
        }
        assert_eq!(order, [1, 0, 1, 0]);
    }

    #[test]
    fn a_full_queue_refuses_and_one_without_queues_too() {
        let mut queues = Queues::new(Shape { length_max: 1, ..SHAPE }, 1);
        seated(queues.arrive(ms(0), 0, 0, || ()));
        assert_eq!(queues.arrive(ms(0), 0, 1, || ()), Arrival::Waits(0, 1));
        assert_eq!(queues.arrive(ms(0), 0, 2, || ()), Arrival::Full);
        assert_eq!(queues.arrive(ms(0), 1, 3, || ()), Arrival::Waits(1, 3), "others have their own queue");
        let mut none = Queues::new(Shape { queues: 0, hand: 0, length_max: 0 }, 0);
        assert_eq!(none.arrive(ms(0), 0, 0, || ()), Arrival::Seated(None));
        assert_eq!(none.arrive(ms(0), 0, 1, || ()), Arrival::Full);
        none.finish(ms(1), None, ms(1));
        assert_eq!(none.arrive(ms(1), 0, 2, || ()), Arrival::Seated(None));
    }

    #[test]
    fn a_flow_spreads_over_its_hand() {
        let mut queues = Queues::new(Shape { queues: 64, hand: 6, length_max: 2 }, 1);
        let waits = |arrival: &Arrival| matches!(arrival, Arrival::Waits(..));
        let arrivals: Vec<_> = (0..20).map(|number| queues.arrive(ms(0), 12345, number, || ())).collect();
        assert_eq!(arrivals.iter().filter(|arrival| waits(arrival)).count(), 12, "two in each of six queues");
        assert_eq!(arrivals[13..], [Arrival::Full; 7]);
    }

    #[test]
    fn surplus_queues_go_when_they_are_empty() {
        let mut queues = Queues::new(SHAPE, 1);
        let first = seated(queues.arrive(ms(0), 7, 0, || "a"));
        queues.arrive(ms(0), 7, 1, || "b");
        queues.reshape(Shape { queues: 2, ..SHAPE });
        assert_eq!(queues.queues.len(), 8);
        queues.finish(ms(1), Some(first), ms(1));
        assert_eq!(queues.next(ms(1)), Some("b"));
        queues.finish(ms(2), Some(first), ms(1));
        assert_eq!((queues.queues.len(), queues.demand()), (2, 0));
        queues.reshape(Shape { queues: 0, ..SHAPE });
        assert_eq!(queues.arrive(ms(3), 7, 2, || "c"), Arrival::Seated(None));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Arrive(u64),
        Finish(usize),
        Leave(usize),
        Seats(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u64..50).prop_map(Step::Arrive),
            3 => (0_usize..50).prop_map(Step::Finish),
            1 => (0_usize..50).prop_map(Step::Leave),
            1 => (0_usize..6).prop_map(Step::Seats),
        ]
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_no_seat_is_given_twice(steps in prop::collection::vec(step(), 0..200)) {
            let mut queues = Queues::new(Shape { queues: 5, hand: 2, length_max: 3 }, 2);
            let (mut now, mut seated, mut waiting) = (ms(0), Vec::new(), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                now += ms(3);
                let number = number as u64;
                match step {
                    Step::Arrive(hash) => match queues.arrive(now, hash, number, || number) {
                        Arrival::Seated(queue) => seated.push(queue),
                        Arrival::Waits(queue, number) => waiting.push((queue, number)),
                        Arrival::Full => {}
                    },
                    Step::Finish(which) if !seated.is_empty() => {
                        let queue = seated.swap_remove(which % seated.len());
                        queues.finish(now, queue, ms(5));
                    }
                    Step::Leave(which) if !waiting.is_empty() => {
                        let (queue, number) = waiting.swap_remove(which % waiting.len());
                        prop_assert_eq!(queues.leave(now, queue, number), Some(number));
                    }
                    Step::Seats(seats) => queues.set_seats(now, seats),
                    Step::Finish(_) | Step::Leave(_) => {}
                }
                let before = seated.len();
                while let Some(number) = queues.next(now) {
                    let at = waiting.iter().position(|(_, waiter)| *waiter == number).unwrap();
                    seated.push(Some(waiting.swap_remove(at).0));
                    prop_assert!(seated.len() <= queues.seats);
                }
                prop_assert!(waiting.is_empty() || seated.len() >= queues.seats);
                prop_assert!(seated.len() >= before);
                prop_assert_eq!(queues.demand(), seated.len() + waiting.len());
                let active = queues.queues.iter().filter(|queue| !queue.is_idle()).count();
                prop_assert_eq!(queues.active, active);
            }
        }
    }
}
