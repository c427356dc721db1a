-- Records which apps of a page get a new version, before anybody is asked to make it.
-- KEYS 1: update, 2: handed out, 3: late, 4: ahead, 5: updates. ARGV 1: number of the update, 2: cursor of the walk that
-- the page was read from, 3: its next cursor, 4: '1' when the walk has come to its end, 5: how many are skipped, 6: base
-- image, 7: how many are handed out, 8: how many are ahead, then those, then these, then app and score of each latecomer
-- that was decided about.
-- Returns the apps that were handed out: none when another fan-out was faster or the update is over.
local number, state, cursor = unpack(redis.call('HMGET', KEYS[1], 'number', 'state', 'cursor'))
if number ~= ARGV[1] or state == 'paused' or (cursor or '') ~= ARGV[2] then return {} end
redis.call('HSET', KEYS[1], 'cursor', ARGV[3])
if ARGV[4] == '1' then redis.call('HSET', KEYS[1], 'walked', 1) end
redis.call('HINCRBY', KEYS[1], 'skipped', ARGV[5])
local now, last = ms(now_ms()), 8 + tonumber(ARGV[7])
local last_ahead = last + tonumber(ARGV[8])
local decided, late = {}, #ARGV > last_ahead
for i = last_ahead + 1, #ARGV, 2 do
  -- something that happened to the app since then calls for another decision
  if redis.call('ZSCORE', KEYS[3], ARGV[i]) == ARGV[i + 1] then
    redis.call('ZREM', KEYS[3], ARGV[i])
    decided[ARGV[i]] = true
  end
end
local reply = {}
for i = 9, last do
  if not late or decided[ARGV[i]] then
    redis.call('ZADD', KEYS[2], now, ARGV[i])
    table.insert(reply, ARGV[i])
  end
end
for i = last + 1, last_ahead do
  if not late or decided[ARGV[i]] then redis.call('ZADD', KEYS[4], 0, ARGV[i]) end
end
if state == 'done' and #reply > 0 then
  -- latecomers are the update's apps as all others, with its waves
  redis.call('HSET', KEYS[1], 'state', 'running')
  redis.call('ZADD', KEYS[5], now, ARGV[6])
end
return reply
