"""What `galaxy doctor` finds: facts about the services around us, and what to think of them. No I/O."""
