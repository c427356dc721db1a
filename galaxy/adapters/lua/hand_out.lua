-- Records which apps of a page get a new version, before anybody is asked to make it.
-- KEYS 1: update, 2: handed out, 3: late. ARGV 1: number of the update, 2: cursor of the walk that the page was read
-- from, 3: its next cursor, 4: '1' when the walk has come to its end, 5: how many are skipped, 6: how many are handed
-- out, then these, then app and score of each latecomer that was decided about.
-- Returns the apps that were handed out: none when another fan-out was faster or the update is over.
local number, state, cursor = unpack(redis.call('HMGET', KEYS[1], 'number', 'state', 'cursor'))
if number ~= ARGV[1] or state == 'paused' or (cursor or '') ~= ARGV[2] then return {} end
redis.call('HSET', KEYS[1], 'cursor', ARGV[3])
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'walked', 1) end
redis.call('HINCRBY', KEYS[1], 'skipped', ARGV[5])
local now, last = ms(now_ms()), 6 + tonumber(ARGV[6])
local decided, late = {}, #ARGV > last
for i = last + 1, #ARGV, 2 do
  -- something that happened to the app since then calls for another decision
  if redis.call('ZSCORE', KEYS[3], ARGV[i]) == ARGV[i + 1] then
    redis.call('ZREM', KEYS[3], ARGV[i])
    decided[ARGV[i]] = true
  end
end
local reply = {}
for i = 7, last do
  if not late or decided[ARGV[i]] then
    redis.call('ZADD', KEYS[2], now, ARGV[i])
    table.insert(reply, ARGV[i])
  end
end
return reply
