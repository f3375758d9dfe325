//! Shuffle sharding: each flow may use a few of a level's queues, chosen by its hash, so that two flows have few of
//! them in common.
//! Source: KEP-1040, "Assignment to a queue".

/// The largest hand: choosing more cards takes more bits than a hash has to give (the kind's rules see to that).
const HAND_MAX: usize = 15;

/// Deals hands of cards `0..deck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dealer {
    deck: usize,
    hand: usize,
}

/// Some cards.
pub(super) struct Hand {
    cards: [usize; HAND_MAX],
    size: usize,
}

impl Hand {
    /// The cards, each once.
    pub(super) fn cards(&self) -> &[usize] {
        &self.cards[..self.size]
    }
}

impl Dealer {
    /// For a deck that isn't empty. A hand is at least one card, and at most the deck.
    pub(super) fn new(deck: usize, hand: usize) -> Dealer {
        assert!(deck > 0, "there is nothing to deal");
        Dealer { deck, hand: hand.clamp(1, deck.min(HAND_MAX)) }
    }

    /// The hand of a hash: the same for the same hash.
    pub(super) fn deal(&self, mut hash: u64) -> Hand {
        let mut hand = Hand { cards: [0; HAND_MAX], size: self.hand };
        // The place of each card among those that are left by then.
        let mut places = [0; HAND_MAX];
        for (at, place) in places[..self.hand].iter_mut().enumerate() {
            let left = (self.deck - at) as u64;
            *place = (hash % left) as usize;
            hash /= left;
        }
        for at in 0..self.hand {
            let mut card = places[at];
            for earlier in places[..at].iter().rev() {
                if card >= *earlier {
                    card += 1;
                }
            }
            hand.cards[at] = card;
        }
        hand
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hands_are_of_different_cards_of_the_deck(deck in 1_usize..2000, hand in 1_usize..20, hash: u64) {
            let dealt = Dealer::new(deck, hand).deal(hash);
            let mut cards = dealt.cards().to_vec();
            prop_assert_eq!(cards.len(), hand.min(deck).min(HAND_MAX));
            cards.sort_unstable();
            cards.dedup();
            prop_assert_eq!(cards.len(), dealt.cards().len());
            prop_assert!(cards.iter().all(|card| *card < deck));
        }
    }

    #[test]
    fn every_hand_is_dealt_as_often() {
        // Four cards, hands of two in order: twelve of them.
        let mut counts = std::collections::BTreeMap::new();
        for hash in 0..1200 {
            *counts.entry(Dealer::new(4, 2).deal(hash).cards().to_vec()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 12);
        assert!(counts.values().all(|count| *count == 100), "{counts:?}");
    }
}
