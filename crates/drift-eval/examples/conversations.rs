//! Prompts and what simulated users say, to be read: `conversations [SEED]` prints a few, answered without commas and
//! without much else.

use drift_eval::mersenne::Mersenne;
use drift_eval::simulated::{Prompts, Rates, Settings, Split, User};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(0), |seed| seed.parse())?;
    let prompts = Prompts::new(Settings { seed, ..Settings::default() })?;
    let user = User::new(&prompts, Rates::default())?;
    let mut random = Mersenne::from_text(&format!("conversations {seed}"));
    for mut prompt in prompts.draw(Split::Train, 40)? {
        println!("--- {:?}\nuser: {}", prompt.requirements, prompt.text);
        for turn in 1.. {
            let reaction = user.react(&prompt, "Here is a short answer.", turn, &mut random);
            println!(
                "user ({:?}, {:?}): {}",
                reaction.act,
                reaction.truth,
                reaction.says.as_deref().unwrap_or("(leaves)")
            );
            if reaction.ends {
                break;
            }
            prompt = reaction.next.unwrap_or(prompt);
        }
    }
    Ok(())
}
