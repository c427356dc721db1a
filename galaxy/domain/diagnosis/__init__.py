"""What `galaxy doctor` finds: facts about the services around us, and the rules that judge them. No I/O."""
