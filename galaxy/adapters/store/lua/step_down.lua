-- Gives up the lead, if who asks has it. KEYS 1: leader. ARGV 1: who asks.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return ''
