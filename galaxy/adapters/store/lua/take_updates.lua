-- Takes updates that have work left, and makes each due again later; forgets those that have none.
-- KEYS: UPDATES
-- ARGV: limit, again_in_ms, update_prefix, late_prefix, handed_out_prefix
-- Returns a flat list of base image and number of the update.
local UPDATES = unpack(KEYS)
local limit, again_in_ms, update_prefix, late_prefix, handed_out_prefix = unpack(ARGV)
local now = now_ms()
local reply = {}
for _, image in ipairs(redis.call('ZRANGEBYSCORE', UPDATES, '-inf', now, 'LIMIT', 0, limit)) do
  local number, state = unpack(redis.call('HMGET', update_prefix .. image, 'number', 'state'))
  local open = redis.call('ZCARD', late_prefix .. image) + redis.call('ZCARD', handed_out_prefix .. image)
  if state == 'running' or (state == 'done' and open > 0) then
    redis.call('ZADD', UPDATES, ms(now + again_in_ms), image)
    table.insert(reply, image)
    table.insert(reply, number)
  else
    redis.call('ZREM', UPDATES, image)
  end
end
return reply
